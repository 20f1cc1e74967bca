"""What can be seen of the container from inside, at the moment of asking."""

import json
import os
from contextlib import suppress
from pathlib import Path

STREAMS = "/run/opencode-cloud/streams/socket"
PAGE = os.sysconf("SC_PAGE_SIZE")
"""Bytes in the unit in which the kernel counts a process' memory."""

_LISTENS = "00010000"
_IS_CONNECTED = "03"


class Container:
    """Reads the files of one file system: the real one, or a test's.

    What cannot be known is None: no number is better than a made-up one.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._memory = (
            root / "sys/fs/cgroup/memory.current",
            root / "sys/fs/cgroup/memory/memory.usage_in_bytes",
        )
        self._started = root / "run/opencode-cloud/opencode.started"
        self._certificate = root / "run/opencode-cloud/certificates/state.json"
        self._said = ""

    def streams(self) -> int | None:
        """How many connections the streams service has; None when it does not listen.

        The kernel's table of Unix sockets has them by the path of their listener.
        """
        lines = (self._proc / "net/unix").read_text().splitlines()
        sockets = [line.split() for line in lines if line.endswith(f" {STREAMS}")]
        if not any(flags == _LISTENS for _, _, _, flags, *_ in sockets):
            return None
        return sum(state == _IS_CONNECTED for _, _, _, _, _, state, *_ in sockets)

    def memory(self) -> int | None:
        """Bytes that the kernel counts, as either version of control groups says."""
        found = [file for file in self._memory if file.exists()]
        return int(found[0].read_text()) if found else None

    def opencode_memory(self) -> int | None:
        """Resident bytes of all that runs as opencode's user; None when opencode does not run."""
        pid = self._started.read_text().strip() if self._started.exists() else ""
        processes = [folder for folder in self._proc.iterdir() if folder.name.isdecimal()]
        owners = {folder: owner for folder in processes if (owner := _owner(folder)) is not None}
        user = owners.get(self._proc / pid)
        if user is None:
            return None
        return sum(_resident(folder) for folder, owner in owners.items() if owner == user)

    def certificate(self) -> tuple[str, float] | None:
        """Who issued the certificate that is served, and when it expires, in seconds since 1970."""
        try:
            state = json.loads(self._certificate.read_text())
            return str(state["issuer"]), float(state["not_after"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._complain(f"the certificate's expiry cannot be read: {error!r}")
            return None

    def _complain(self, problem: str) -> None:
        if problem != self._said:
            print(problem, flush=True)
        self._said = problem


def _owner(process: Path) -> int | None:
    with suppress(OSError):  # it has ended meanwhile
        return process.stat().st_uid
    return None


def _resident(process: Path) -> int:
    with suppress(OSError):  # likewise
        return int((process / "statm").read_text().split()[1]) * PAGE
    return 0
