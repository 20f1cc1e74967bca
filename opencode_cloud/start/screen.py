"""What the person in front of ``./start`` sees."""

import shutil
import time
from dataclasses import dataclass, field
from typing import TextIO

PLAIN_EVERY_SECONDS = 5
"""How often a line of progress is printed where lines cannot be rewritten."""

_COUNTER_WIDTH, _TITLE_WIDTH = 7, 20
_GREEN, _RED, _DIM, _BOLD, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLORS = {"done": _GREEN, "failed": _RED, "stopped": _RED}
_CLEAR_LINE = "\r\x1b[K"


def clock(seconds: float) -> str:
    """Write a duration: ``01:23``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02}:{rest:02}"


@dataclass
class Screen:
    """One line for each step: rewritten in place on a terminal, printed now and then elsewhere."""

    out: TextIO
    color: bool = True
    _head: str = ""
    _text: str = ""
    _began: float = 0
    _printed: float = field(default=0, repr=False)

    def __post_init__(self) -> None:
        self.live = self.out.isatty()
        self.color = self.color and self.live

    def begin(self, number: int, total: int, title: str) -> None:
        """Start the line of a step."""
        counter = f"[{number}/{total}]"
        self._head = f"{counter:<{_COUNTER_WIDTH}} {title:<{_TITLE_WIDTH}}"
        self._text = ""
        self._began = self._printed = time.monotonic()
        self.tick()

    def progress(self, text: str) -> None:
        """Say what the step is doing now."""
        self._text = text
        if self.live:
            self.tick()
        elif time.monotonic() - self._printed >= PLAIN_EVERY_SECONDS:
            self._printed = time.monotonic()
            self._line(f"{self._head} {text}  {self._elapsed()}")

    def tick(self) -> None:
        """Bring the elapsed time up to date."""
        if not self.live or not self._head:
            return
        # A longer line would wrap, and could not be rewritten.
        width = shutil.get_terminal_size().columns - 1
        elapsed = f"  {self._elapsed()}"
        line = f"{self._head} {self._text}"[: width - len(elapsed)] + elapsed
        self.out.write(_CLEAR_LINE + line)
        self.out.flush()

    def end(self, word: str, detail: str = "") -> None:
        """Finish the line of a step: ``done`` or ``already there``."""
        took = self._elapsed() if time.monotonic() - self._began >= 1 else ""
        color = _COLORS.get(word, _DIM)
        text = "  ".join(part for part in (self.painted(word, color), detail, took) if part)
        head, self._head = self._head, ""
        self._line(f"{head} {text}")

    def note(self, text: str) -> None:
        """Print a line that stays, above the step's own."""
        head = " " * len(self._head) if self.live else self._head
        self._line(f"{head} {text}" if head else text)
        self.tick()

    def stop(self) -> None:
        """Leave the line of an unfinished step as it is, and go on below it."""
        if self.live and self._head:
            self.out.write("\n")
        self._head = ""

    def say(self, text: str = "") -> None:
        """Print text that belongs to no step."""
        self._line(text)

    def painted(self, text: str, color: str) -> str:
        """Colour text, where colours are wanted."""
        return f"{color}{text}{_RESET}" if self.color else text

    def bold(self, text: str) -> str:
        """Make text stand out."""
        return self.painted(text, _BOLD)

    def _line(self, text: str) -> None:
        self.out.write(f"{_CLEAR_LINE if self.live else ''}{text}\n")
        self.out.flush()

    def _elapsed(self) -> str:
        return clock(time.monotonic() - self._began)
