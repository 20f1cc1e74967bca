"""A person at a terminal, as far as a program can tell."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from types import TracebackType

SECONDS = 60


class Terminal:
    """One command on a pseudo-terminal of its own."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self.shown = ""
        self.code: int | None = None
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            # As a login shell gives them, whatever whoever runs the tests ignores.
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(command[0], list(command), environment)

    def resize(self, lines: int, columns: int) -> None:
        """Change the size of the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def expect(self, text: str, seconds: float = SECONDS) -> str:
        """Wait until `text` is shown; gives all up to it, and forgets that."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.shown!r}"
            assert self._read(), f"{text!r} is not in {self.shown!r}, and it ended"
        before, _, self.shown = self.shown.partition(text)
        return before

    def ends(self) -> int:
        """Wait until the command ends; gives its exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < deadline, f"it does not end: {self.shown!r}"
        return self._wait()

    def _wait(self) -> int:
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self.code

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.1)
        if not ready:
            return True
        try:
            piece = os.read(self._master, 65536)
        except OSError:
            return False
        self.shown += piece.decode(errors="replace")
        return bool(piece)

    def close(self) -> None:
        """Close the window."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        deadline = time.monotonic() + SECONDS
        while self.code is None and time.monotonic() < deadline:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        if self.code is None:
            os.kill(self._pid, signal.SIGKILL)
            self._wait()
            raise AssertionError("it did not end with its terminal")
