"""One of several commands that run side by side: a process, and the lines that it prints."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from opencode_cloud.spec.fleet import MEMBER

ENDING_SECONDS = 150
"""How long an interrupted command may take: as Pulumi may, and a little more."""

_BY_SIGNAL = 128
_PIECE = 65536
_DRAIN_SECONDS = 2
"""Something that a command left running may hold its output open for ever."""
_PACKAGE = Path(__file__).parents[2]
_START = """
import sys
try:
    sys.path.insert(0, sys.argv.pop(1))
    from opencode_cloud.cli.main import main
    main()
except KeyboardInterrupt:
    sys.exit(130)
"""
"""An interruption may come before there is anybody to put it into words."""

OnLine = Callable[[str], None]


class Member:
    """A command of ours, in a process without a terminal: nothing can be asked there."""

    def __init__(self, words: Sequence[str], stdin: bytes) -> None:
        self._words = words
        self._stdin = stdin
        self._process: asyncio.subprocess.Process | None = None
        self._told: list[signal.Signals] = []

    async def run(self, out: OnLine, err: OnLine) -> int:
        """Run it to its end; gives its exit code, as a shell would.

        Args:
            out: gets each line of its output.
            err: gets each line of its errors.
        """
        async with _pipe() as (stdout, printed), _pipe() as (stderr, complained):
            process = self._process = await self._start(stdout, stderr)
            reading = {
                asyncio.create_task(each)
                for each in (self._give(process), _lines(printed, out), _lines(complained, err))
            }
            try:
                await _finished(process, reading)
            finally:
                for task in reading:
                    task.cancel()
                # Whoever was given its lines cannot go on.
                await self._end(process)
        code = process.returncode or 0
        return code if code >= 0 else _BY_SIGNAL - code

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, once, unless it has ended; while it is being started, once it is."""
        if number in self._told:
            return
        self._told.append(number)
        if self._process:
            _send(self._process, number)

    async def _start(self, stdout: int, stderr: int) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _START, str(_PACKAGE), *self._words),
            stdin=asyncio.subprocess.PIPE if self._stdin else asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, MEMBER: "1"},
            # A terminal's Ctrl-C is for whoever started it to pass on.
            start_new_session=True,
        )
        for end in (stdout, stderr):
            os.close(end)
        for number in self._told:
            _send(process, number)
        return process

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        self.tell(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), ENDING_SECONDS)
        except TimeoutError:
            self.tell(signal.SIGKILL)
            await process.wait()

    async def _give(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None:
            return
        # Whoever ends without reading says why in its own output.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(self._stdin)
            await process.stdin.drain()
        process.stdin.close()


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """Give the end of a pipe for a process, and what reads the other; that one is closed then.

    Those that asyncio itself makes are open for as long as somebody holds their other end.
    """
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
    )
    try:
        yield theirs, reader
    finally:
        transport.close()


async def _finished(
    process: asyncio.subprocess.Process, reading: set["asyncio.Task[None]"]
) -> None:
    """Wait until a process has ended, and what it printed is read."""
    waiting = reading
    while waiting:
        done, waiting = await asyncio.wait(
            waiting, timeout=_DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
        if not done and process.returncode is not None:
            return
    await process.wait()


async def _lines(stream: asyncio.StreamReader, on_line: OnLine) -> None:
    """Give each line as it comes, however long."""
    pending = b""
    while piece := await stream.read(_PIECE):
        *complete, pending = (pending + piece).split(b"\n")
        for line in complete:
            on_line(line.decode(errors="replace").rstrip("\r"))
    if pending:
        on_line(pending.decode(errors="replace"))
