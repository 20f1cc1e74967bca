"""One line that says what is waited for."""

import os
import sys
import time
from types import TracebackType

from opencode_cloud.cli.options import Options
from opencode_cloud.spec.fleet import MEMBER, PROGRESS

_CLEAR = "\r\x1b[K"
_PLAIN_EVERY_SECONDS = 5


class LiveLine:
    """Rewritten in place on a terminal, printed now and then elsewhere, silent when quiet.

    Where the command is one of several, whoever started them shows the text and the seconds.
    Goes to standard error: it is no result.
    """

    def __init__(self, title: str, options: Options) -> None:
        self._title = title
        self._quiet = options.quiet
        self._live = sys.stderr.isatty()
        self._is_member = MEMBER in os.environ
        self._said = ""
        self._began = self._printed = time.monotonic()

    def __call__(self, text: str) -> None:
        """Say what is waited for now."""
        if self._quiet:
            return
        if self._is_member:
            if text != self._said:
                self._said = text
                print(f"{PROGRESS}{text}", file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        line = f"{self._title}: {text}  {now - self._began:.0f} s"
        if self._live:
            import shutil

            # A longer line would wrap, and could not be rewritten.
            width = shutil.get_terminal_size().columns - 1
            print(f"{_CLEAR}{line[:width]}", end="", file=sys.stderr, flush=True)
        elif now - self._printed >= _PLAIN_EVERY_SECONDS:
            self._printed = now
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> "LiveLine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Take the line away, so that something else can stand there."""
        if self._live and not self._quiet:
            print(_CLEAR, end="", file=sys.stderr, flush=True)
