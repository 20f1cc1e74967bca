"""Which words of a command line say on what stacks it works, and which are the command's own."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from opencode_cloud.spec.fleet import Choice, FleetError

HOST, GROUP, EVERY, PARALLEL = "host", "_group", "_every", "_parallel"
NAMES = (HOST, GROUP, EVERY, PARALLEL)
"""Of the parameters of `opencode_cloud.cli.commands.take` that are about stacks."""


@dataclass
class Line:
    """A command line, taken apart."""

    command: Any
    """Of the parser; a group where no command is named, or None where there is none such."""
    path: list[str] = field(default_factory=list)
    """The words that name the command."""
    before: list[str] = field(default_factory=list)
    """Global options that stand before the command."""
    after: list[str] = field(default_factory=list)
    """What stands behind it."""
    said: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in NAMES})

    @property
    def choice(self) -> Choice:
        """The stacks that are meant.

        Raises:
            FleetError: --parallel is no number.
        """
        parallel = self.said[PARALLEL][-1:] or ["0"]
        if not parallel[0].isdecimal() or (self.said[PARALLEL] and int(parallel[0]) == 0):
            raise FleetError(f"--parallel takes how many at once, from 1, and not {parallel[0]!r}.")
        return Choice(
            hosts=_names(self.said[HOST]),
            groups=_names(self.said[GROUP]),
            every=bool(self.said[EVERY]),
            parallel=int(parallel[0]),
        )

    @property
    def is_command(self) -> bool:
        """Whether it names a command that there is."""
        return self.command is not None and not hasattr(self.command, "commands")

    def words(self, stack: str = "") -> list[str]:
        """Write it for one stack; for none in particular, where none is named."""
        host = ["--host", stack] if stack else []
        return [*host, *self.before, *self.path, *self.after]


def take_apart(root: Any, words: Sequence[str]) -> Line:
    """Take a command line apart, as the parser `root` would read it."""
    line, waiting = Line(root), deque(words)
    while waiting and line.command is not None:
        word = waiting.popleft()
        here = line.after if line.is_command else line.before
        if word == "--":
            here += [word, *waiting]
            break
        if word.startswith("-") and word != "-":
            _option(line, root, word, waiting, here)
        elif not line.is_command:
            line.path.append(word)
            line.command = line.command.commands.get(word)
        else:
            here.append(word)
            if not line.command.context_settings.get("allow_interspersed_args", True):
                here += waiting
                break
    return line


def _option(line: Line, root: Any, word: str, waiting: deque[str], here: list[str]) -> None:
    """Put one option and its value where they belong."""
    param, value = _read(line.command, word)
    takes_next = param is not None and not param.is_flag and value is None and bool(waiting)
    following = [waiting.popleft()] if takes_next else []
    # A command's own option may have the name of a global one, which then stands before it.
    is_global = param is not None and (line.command is root or param.hidden)
    if param is not None and is_global and param.name in NAMES:
        line.said[param.name] += [value] if value is not None else following or [word]
    else:
        here += [word, *following]


def _read(command: Any, word: str) -> tuple[Any, str | None]:
    """Find the option that a word is, and the value in the same word."""
    options = {
        name: param
        for param in command.params
        if hasattr(param, "is_flag")
        for name in (*param.opts, *param.secondary_opts)
    }
    name, equals, value = word.partition("=")
    if word.startswith("--") or name in options:
        return options.get(name), value if equals else None
    # Short ones together; the last may have its value behind it.
    for place, letter in enumerate(word[1:], start=2):
        param = options.get(f"-{letter}")
        if param is None or not param.is_flag:
            return param, word[place:] or None
    return options.get(f"-{word[-1]}"), None


def _names(said: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for each in said for name in each.split(",") if name.strip())
