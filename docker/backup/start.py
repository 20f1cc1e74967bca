"""python3 -m backup.start: at the container's start, mend what a restore that was cut off has left.

An error ends the start: nothing shall read, or write to, volumes that are half exchanged.
"""

import sys
import tempfile
from pathlib import Path

from backup import BackupError, swap
from backup.__main__ import alone

MOUNTS = {
    "data": "/home/opencode/.local/share/opencode",
    "state": "/home/opencode/.local/state",
    "cache": "/home/opencode/.cache",
    "config": "/home/opencode/.config/opencode",
    "workspace": "/workspace",
    "users": "/var/lib/opencode-cloud/users",
    "certificates": "/var/lib/opencode-cloud/certificates",
}
"""Where the volumes are in the deployment's container."""


def main() -> int:
    """Mend it; gives the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        for name, path in MOUNTS.items():
            (top / name).symlink_to(path)
        try:
            with alone(top):
                for said in swap.repair(top):
                    _say(said)
        except (BackupError, OSError) as error:
            _say(f"the data cannot be used: a restore was cut off, and {error}")
            return 1
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
