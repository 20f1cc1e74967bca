"""Runs pytest several times side by side, because most tests of real machines wait.

Each lane takes the next file of tests that no other has taken. What it prints about them is shown
as it comes, a line a file; what it says below them comes in one piece, when every lane has ended.
"""

import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

NAMES = ("a", "b")
POLL_SECONDS = 0.2
SLOWEST, SLOW_SECONDS = 25, 5
"""How many of the slowest tests are named at the end, and what is slow."""
RULE = re.compile(r"=+ .* =+")
"""What pytest draws: the first is above the tests, the second below them."""


@dataclass(frozen=True)
class Result:
    """How a lane ended."""

    name: str
    status: int
    """pytest's exit status."""
    seconds: float
    closing: Sequence[str]
    """What it said below its tests."""

    @property
    def passed(self) -> bool:
        """Whether all that it ran passed, and nothing was left out."""
        return self.status == 0


class Lane:
    """One pytest at work."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", output: IO[bytes]) -> None:
        self.process = process
        self.output = output
        self._name = name
        self._began = time.monotonic()
        self._rules = 0
        self._pending = b""
        self._closing: list[str] = []

    def read(self) -> list[str] | None:
        """Take what it has printed, once there is any; gives the lines to show, None at the end."""
        data = os.read(self.output.fileno(), 65536)
        if not data:
            return None
        *lines, self._pending = (self._pending + data).split(b"\n")
        return [shown for line in lines for shown in self._sort(line.decode(errors="replace"))]

    def result(self) -> Result:
        """Give how it ended."""
        took = time.monotonic() - self._began
        return Result(self._name, self.process.returncode, took, self._closing)

    def _sort(self, line: str) -> list[str]:
        self._rules += RULE.fullmatch(line) is not None
        if self._rules > 1:
            self._closing.append(line)
            return []
        return [f"{self._name} | {line}"]


def run(
    folders: Sequence[str],
    root: Path,
    environment: Mapping[str, str],
    show: Callable[[str], None],
    names: Sequence[str] = NAMES,
) -> list[Result]:
    """Run the tests in these folders of `root`, each once; `show` gets the lines as they come.

    An interruption goes on to the lanes, and is raised when they have cleaned up and ended.
    """
    with tempfile.TemporaryDirectory() as taken:
        # One line a file: neither the bare dots of -q, which pyproject.toml has, nor percentages
        # of what the others run too.
        options = ("-v", "--override-ini", "console_output_style=classic", f"--share={taken}")
        slowest = (f"--durations={SLOWEST}", f"--durations-min={SLOW_SECONDS}")
        command = ["python", "-m", "pytest", *options, *slowest, *folders]
        show(f"$ {' '.join(command)}")
        lanes = [_start(name, command, root, environment) for name in names]
        with _passing_on_interruptions(lanes):
            results = list(_follow(lanes, show))
    for result in results:
        for line in ("", f"Lane {result.name}:", *result.closing):
            show(line)
    return results


def _start(name: str, command: list[str], root: Path, environment: Mapping[str, str]) -> Lane:
    reading, writing = os.pipe()
    # A group of its own: a terminal's Ctrl-C would reach it twice, and cut its cleaning up short.
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
        process_group=0,
    )
    os.close(writing)
    return Lane(name, process, os.fdopen(reading, "rb", buffering=0))


def _follow(lanes: Sequence[Lane], show: Callable[[str], None]) -> Iterator[Result]:
    with selectors.DefaultSelector() as selector:
        for lane in lanes:
            selector.register(lane.output, selectors.EVENT_READ, lane)
        while selector.get_map():
            ready = {key.data for key, _ in selector.select(POLL_SECONDS)}
            for lane in [key.data for key in selector.get_map().values()]:
                lines = lane.read() if lane in ready else None
                for line in lines or ():
                    show(line)
                # Not the pipe's end alone: what a test has started may hold it open for ever.
                if lines is None and lane.process.poll() is not None:
                    selector.unregister(lane.output)
                    lane.output.close()
                    yield lane.result()


@contextmanager
def _passing_on_interruptions(lanes: Sequence[Lane]) -> Iterator[None]:
    interrupted = False

    def pass_on(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        for lane in lanes:
            if lane.process.poll() is None:
                os.killpg(lane.process.pid, signal.SIGINT)

    # A CI that gives up sends the second.
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, pass_on) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    if interrupted:
        raise KeyboardInterrupt
