"""Several stacks by one command: which are meant, and what came of each."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opencode_cloud.errors import OpencodeCloudError

DONE, FAILED, INTERRUPTED = 0, 1, 130
NOT_BEGUN = "not begun"

MEMBER = "OPENCODE_CLOUD_SIDE_BY_SIDE"
"""Variable of a command that is one of several: its progress is for whoever started it."""
PROGRESS = "\x1e"
"""What a line of progress begins with, among a member's errors."""

_OURS = re.compile(r"occ: (.*)")


class FleetError(OpencodeCloudError):
    """What is meant is not there, or cannot be done on several."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the command line says of the stacks to work on."""

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    every: bool = False
    parallel: int = 0
    """How many at once; 0: not said."""

    @property
    def is_several(self) -> bool:
        """Whether more than one is meant: what is typed decides, and not how many there are."""
        return bool(self.every or self.groups or len(set(self.hosts)) > 1)


@dataclass(frozen=True)
class Ended:
    """What came of the command on one stack."""

    exit_code: int
    """0 done, 130 interrupted or not begun; others as the command's own."""
    seconds: float
    error: str = ""
    """First line of what it complained of; empty where it did not."""
    result: Any = field(default=None)
    """What the command prints for one stack with --json; null where it printed none."""


def chosen(choice: Choice, known: Mapping[str, Iterable[str]]) -> list[str]:
    """Give the names of the stacks that are meant, each once, in the order they were named.

    Args:
        choice: of the command line.
        known: every stack that has settings here, and its groups.

    Raises:
        FleetError: a name is unknown, or there is none; says what there is.
    """
    groups = {group for of_one in known.values() for group in of_one}
    names = [_known("host", host, known) for host in choice.hosts]
    for group in choice.groups:
        _known("group", group, groups)
        names += [stack for stack, of_one in known.items() if group in of_one]
    if choice.every:
        names += known
    if not names:
        raise FleetError("There is no stack with settings here, and so none to work on.")
    return list(dict.fromkeys(names))


def _known(what: str, name: str, known: Iterable[str]) -> str:
    there_are = sorted(known)
    if name in there_are:
        return name
    said = f"There is no {what} {name!r} with settings here."
    if close := difflib.get_close_matches(name, there_are, n=1):
        raise FleetError(f"{said} Did you mean --{what} {close[0]}?")
    if there_are:
        raise FleetError(f"{said} There is {', '.join(there_are)}.")
    how = " To make one: occ --host NAME config set groups GROUP" if what == "group" else ""
    raise FleetError(f"{said} There is none at all.{how}")


def complaint(lines: Iterable[str]) -> str:
    """Find what a command complained of in what it printed as errors: one line."""
    printed = [line.strip() for line in lines if line.strip()]
    ours = [match[1] for line in printed if (match := _OURS.match(line))]
    return ours[-1] if ours else printed[-1] if printed else ""


def summary(results: Mapping[str, Ended]) -> list[str]:
    """Write what came of each: host, result, seconds, and what it complained of."""
    rows = [("host", "result", "seconds", "")]
    rows += [(name, *_row(ended)) for name, ended in results.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{name:<{widths[0]}}  {result:<{widths[1]}}  {seconds:>{widths[2]}}  {error}".rstrip()
        for name, result, seconds, error in rows
    ]


def _row(ended: Ended) -> tuple[str, str, str]:
    word = _word(ended)
    return word, f"{ended.seconds:.1f}", "" if ended.error == word else ended.error


def counted(results: Mapping[str, Ended]) -> str:
    """Say how many came to what: `2 done, 1 failed`."""
    words = [_word(ended) for ended in results.values()]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def _word(ended: Ended) -> str:
    if ended.exit_code == DONE:
        return "done"
    if ended.exit_code == INTERRUPTED:
        return NOT_BEGUN if ended.error == NOT_BEGUN else "stopped"
    # Some say something by it that is no failure, such as `occ update --check`.
    return "failed" if ended.exit_code == FAILED else f"exit code {ended.exit_code}"
