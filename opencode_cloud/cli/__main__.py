"""`python -m opencode_cloud.cli` is `occ`."""

from opencode_cloud.cli.main import main

if __name__ == "__main__":
    main()
