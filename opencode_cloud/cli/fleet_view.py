"""What a person sees of a command on several stacks."""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opencode_cloud.cli.options import Options
from opencode_cloud.spec.fleet import DONE, Ended, counted, summary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

_COLORS = ("cyan", "magenta", "yellow", "blue", "green", "bright_cyan", "bright_magenta")
_PLAIN_EVERY_SECONDS = 5
_SHOWN_A_SECOND = 4


class View:
    """Lines with their stack's name before them; on a terminal, below them a live line a stack."""

    def __init__(self, names: Sequence[str], options: Options) -> None:
        self._quiet = options.quiet
        self._color = options.color
        self._width = max(map(len, names))
        self._colors = {name: _COLORS[at % len(_COLORS)] for at, name in enumerate(names)}
        self._waiting = len(names)
        self._doing: dict[str, tuple[float, str]] = {}
        self._printed: dict[str, float] = {}
        self._spoke: set[str] = set()
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show live lines, where there is a terminal."""
        if self._quiet or not sys.stderr.isatty():
            yield
            return
        from rich.live import Live

        console = _console(color=self._color)
        with Live(
            console=console,
            get_renderable=self._lines,
            refresh_per_second=_SHOWN_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as self._live:
            yield
        self._live = None

    def begins(self, name: str) -> None:
        """Have a line for it."""
        self._waiting -= 1
        now = time.monotonic()
        self._doing[name] = now, ""
        self._printed[name] = now

    def progresses(self, name: str, text: str) -> None:
        """Say what it waits for; elsewhere than on a terminal, now and then."""
        began = self._doing[name][0]
        self._doing[name] = began, text
        now = time.monotonic()
        if self._live or self._quiet or now - self._printed[name] < _PLAIN_EVERY_SECONDS:
            return
        self._printed[name] = now
        self.prints(name, f"{text}  {now - began:.0f} s", error=True)

    def prints(self, name: str, line: str, *, error: bool) -> None:
        """Print a line of its."""
        self._spoke.add(name)
        stream = sys.stderr if error else sys.stdout
        prefix = self._prefix(name)
        if not (stream.isatty() and (self._live or self._color)):
            print(f"{prefix}{line}", file=stream, flush=True)
            return
        from rich.text import Text

        # Above the live lines, where there are some on the same terminal.
        live = self._live.console if self._live else None
        console = live or _console(color=True, stderr=error)
        console.print(Text.assemble((prefix, self._colors[name]), line), soft_wrap=True)

    def ends(self, name: str) -> None:
        """Take its line away."""
        if self._doing.pop(name, None) is None:
            self._waiting -= 1

    def interrupted(self) -> None:
        """Say that it takes a moment."""
        running = ", ".join(self._doing)
        if running and not self._quiet:
            self._say(f"Ending in order: {running}. Ctrl-C again ends them at once.")

    def summarize(self, results: Mapping[str, Ended], seconds: float) -> None:
        """Print what came of each."""
        if self._quiet:
            return
        head, *rows = summary(results)
        terminal = sys.stderr.isatty()
        # A longer line would wrap, and the columns with it; all of it stands above.
        width = shutil.get_terminal_size().columns if terminal else max(map(len, rows))
        print(f"\n{head}", file=sys.stderr)
        for row, ended in zip(rows, results.values(), strict=True):
            shown = row[:width]
            if ended.exit_code != DONE and terminal and self._color:
                shown = f"\x1b[31m{shown}\x1b[0m"
            print(shown, file=sys.stderr)
        print(f"{counted(results)} ({seconds:.0f} s)", file=sys.stderr)

    def _say(self, text: str) -> None:
        if self._live:
            self._live.console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def _prefix(self, name: str) -> str:
        return f"{name:<{self._width}} | "

    def _lines(self) -> "Text":
        from rich.text import Text

        now = time.monotonic()
        shown = Text(no_wrap=True, overflow="ellipsis")
        for name, (began, text) in list(self._doing.items()):
            if name in self._spoke and not text:
                # Such as logs that are followed: its lines are what there is to see.
                continue
            shown.append(self._prefix(name), self._colors[name])
            shown.append(f"{now - began:3.0f} s  {text}\n")
        if self._waiting:
            shown.append(f"{self._waiting} more wait for their turn\n", "dim")
        shown.rstrip()
        return shown


def _console(*, color: bool, stderr: bool = True) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, no_color=not color, markup=False, emoji=False)
