"""The lines of a deployment's processes."""

import difflib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.frames import frames

PROCESSES = (
    *("opencode", "gateway", "session", "streams"),
    *("validators", "metrics", "certificates", "watchdog", "init"),
)
"""The names that lines begin with."""

_LINE = re.compile(r"([a-z]+) +\| ?(.*)", re.DOTALL)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:\d+[smhdw])+")


@dataclass(frozen=True)
class Line:
    """One line, with the time at which the engine got it."""

    moment: str
    """RFC 3339, to the nanosecond, in UTC: sorts as text."""
    text: str

    @property
    def process(self) -> str:
        """Whose line it is; empty when nobody's."""
        match = _LINE.match(self.text)
        return match[1] if match else ""


@dataclass(frozen=True)
class Wanted:
    """Which lines are asked for."""

    process: str = ""
    pattern: re.Pattern[str] | None = None
    since: datetime | None = None
    count: int | None = None
    """The last so many of the past; None: all."""
    follow: bool = False

    def takes(self, line: Line) -> bool:
        """Whether the line is asked for."""
        if self.process and line.process != self.process:
            return False
        return not self.pattern or self.pattern.search(line.text) is not None


def read(deployment: Deployment, wanted: Wanted) -> Iterator[Line]:
    """Give the lines of the past that are wanted, and then those that come."""
    since = wanted.since.timestamp() if wanted.since else 0
    last = ""
    past: deque[Line] = deque(maxlen=wanted.count)
    for line in _lines(deployment, since, tail=_tail(wanted)):
        last = line.moment
        if wanted.takes(line):
            past.append(line)
    yield from past
    if not wanted.follow:
        return
    start = datetime.fromisoformat(last[:19] + "+00:00").timestamp() if last else since
    for line in _lines(deployment, start, follow=True):
        # The engine's `since` includes what was shown already.
        if line.moment > last and wanted.takes(line):
            yield line


def _tail(wanted: Wanted) -> str:
    # Counted here when lines are chosen here.
    if wanted.count is None or wanted.process or wanted.pattern:
        return "all"
    return str(wanted.count)


def _lines(
    deployment: Deployment, since: float, *, tail: str = "all", follow: bool = False
) -> Iterator[Line]:
    with deployment.engine.stream(
        f"/containers/{deployment.container}/logs",
        stdout=1,
        stderr=1,
        timestamps=1,
        since=f"{since:.9f}" if since else 0,
        tail=tail,
        follow=int(follow),
    ) as reader:
        yield from split(reader)


def split(reader: BinaryIO) -> Iterator[Line]:
    """Put lines together from the engine's frames: a long line comes in several."""
    begun: dict[int, Line] = {}
    for number, piece in frames(reader):
        moment, _, text = piece.decode(errors="replace").partition(" ")
        before = begun.pop(number, None)
        line = Line(before.moment, before.text + text) if before else Line(moment, text)
        if text.endswith("\n"):
            yield Line(line.moment, line.text.rstrip("\r\n"))
        else:
            begun[number] = line
    yield from begun.values()


def since(text: str, now: datetime) -> datetime:
    """Understand how long ago (`10m`, `1h30m`, `2d`), or a time; without a zone, it is local.

    Raises:
        ValueError: it is neither; the message says what would be.
    """
    if _DURATION.fullmatch(text):
        seconds = sum(
            int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smhdw])", text)
        )
        try:
            return now - timedelta(seconds=seconds)
        except OverflowError:
            return datetime.fromtimestamp(0, UTC)
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither how long ago, such as 10m, 1h30m or 2d, nor a time such as "
            "2026-01-31 or 2026-01-31T18:00"
        ) from None


def check_process(name: str) -> None:
    """Refuse a process that there is not.

    Raises:
        OperationError: with the one that may be meant.
    """
    if name in PROCESSES:
        return
    close = difflib.get_close_matches(name, PROCESSES, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    raise OperationError(f"There is no process {name!r}.{meant} There are {', '.join(PROCESSES)}.")


def that_matter(lines: list[str], count: int = 15) -> list[str]:
    """Choose the lines that tell most likely why something failed."""
    telling = [line for line in lines if tells(line)]
    return (telling or lines)[-count:]


def tells(line: str) -> bool:
    """Whether a line is about something that failed."""
    return _TELLING.search(line) is not None


_TELLING = re.compile(
    r"error|fatal|fail|cannot|could not|denied|no space|killed|exited|emerg|traceback",
    re.IGNORECASE,
)
