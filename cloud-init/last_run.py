"""What the last run of opencode-cloud-apply came to: printed as JSON, and for the beacon."""

import fcntl
import json
import sys
from pathlib import Path

STATUS = Path("/var/lib/opencode-cloud/status.json")
LOCK = Path("/run/opencode-cloud.lock")


def read() -> dict:
    """Give what it has written; a run that says that it is at work, and is not, was interrupted."""
    status = json.loads(STATUS.read_text())
    if status["state"] == "applying" and not is_at_work():
        status["state"] = "interrupted"
    return status


def is_at_work() -> bool:
    """Whether a run, or a step that has outlived it, has the lock."""
    try:
        with LOCK.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        # There was none since the machine has started.
        pass
    return False


def main() -> None:
    """Print it."""
    try:
        print(json.dumps(read(), indent=2))
    except (OSError, ValueError) as error:
        sys.exit(f"no run has said how it went: {error}")


if __name__ == "__main__":
    main()
