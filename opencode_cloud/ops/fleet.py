"""A command on several stacks: a process for each, side by side."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from opencode_cloud.ops.project import DEFAULT_STACK
from opencode_cloud.spec.fleet import INTERRUPTED, MEMBER, NOT_BEGUN, PROGRESS, Ended, complaint
from opencode_cloud.start import stack_file
from opencode_cloud.start.paths import Paths

ENDING_SECONDS = 150
"""How long an interrupted command may take: as Pulumi may, and a little more."""

_BY_SIGNAL = 128
_PIECE = 65536
_LAST_LINES = 50
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
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Watcher(Protocol):
    """Whoever is told what happens."""

    def begins(self, name: str) -> None:
        """It was started on a stack."""

    def progresses(self, name: str, text: str) -> None:
        """It waits for something else now."""

    def prints(self, name: str, line: str, *, error: bool) -> None:
        """It printed a line."""

    def ends(self, name: str) -> None:
        """It ended, or will not begin."""

    def interrupted(self) -> None:
        """All that run were told to end."""


def known(root: Path, environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Give every stack that has settings in the program's folder `root`, and its groups.

    The settings that a checkout brings along are nobody's stack until it is used.
    """
    paths = Paths.of(root, environment)
    files = sorted((root / "stacks").glob("Pulumi.*.yaml"))
    found = {file.name.removeprefix("Pulumi.").removesuffix(".yaml"): file for file in files}
    if DEFAULT_STACK in found and not _is_used(paths, found[DEFAULT_STACK]):
        del found[DEFAULT_STACK]
    return {name: _groups(file) for name, file in found.items()}


def _is_used(paths: Paths, file: Path) -> bool:
    # Pulumi binds a stack's file to its secrets when it makes the stack.
    text = file.read_text(errors="replace")
    return (
        paths.applied(DEFAULT_STACK).exists()
        or "\nsecretsprovider:" in f"\n{text}"
        or (stack_file.has_salt(file))
    )


def _groups(file: Path) -> tuple[str, ...]:
    said = stack_file.read(file).get("groups", "")
    return tuple(group.strip() for group in said.split(",") if group.strip())


def default_parallel() -> int:
    """Give how many run at once unless it is said: most of the time, they wait for their hosts."""
    return max(8, 4 * (os.cpu_count() or 1))


@dataclass
class Fleet:
    """One command on several stacks."""

    names: Sequence[str]
    words: Callable[[str], Sequence[str]]
    """Gives the words of the command for a stack."""
    watcher: Watcher
    parallel: int
    stdin: bytes = b""
    """What each gets on its standard input."""
    as_json: bool = False
    """Whether what each prints is its result, and not for the watcher."""
    is_interrupted: bool = field(default=False, init=False)
    _running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict, init=False)

    def run(self) -> dict[str, Ended]:
        """Run it on every stack; interrupted, those that run are told so and waited for."""
        return asyncio.run(self._run())

    async def _run(self) -> dict[str, Ended]:
        loop = asyncio.get_running_loop()
        for number in _ENDINGS:
            loop.add_signal_handler(number, self._interrupt)
        free = asyncio.Semaphore(self.parallel)
        tasks = [asyncio.create_task(self._when(free, name)) for name in self.names]
        try:
            return dict(zip(self.names, await asyncio.gather(*tasks), strict=True))
        finally:
            # Whoever watches cannot go on, such as when nobody reads any more.
            for task in tasks:
                task.cancel()
            await self._end()

    async def _when(self, free: asyncio.Semaphore, name: str) -> Ended:
        async with free:
            if self.is_interrupted:
                ended = Ended(INTERRUPTED, 0, NOT_BEGUN)
            else:
                ended = await self._one(name)
        self.watcher.ends(name)
        return ended

    async def _one(self, name: str) -> Ended:
        began = time.monotonic()
        self.watcher.begins(name)
        process = self._running[name] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _START, str(_PACKAGE), *self.words(name)),
            stdin=asyncio.subprocess.PIPE if self.stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, MEMBER: "1"},
            # No terminal: nothing can be asked, and its Ctrl-C is ours to pass on.
            start_new_session=True,
        )
        if self.is_interrupted:
            # While it was being started.
            _send(process, signal.SIGINT)
        printed: list[str] = []
        complained: deque[str] = deque(maxlen=_LAST_LINES)

        def out(line: str) -> None:
            if self.as_json:
                printed.append(line)
            else:
                self.watcher.prints(name, line, error=False)

        def err(line: str) -> None:
            if line.startswith(PROGRESS):
                self.watcher.progresses(name, line.removeprefix(PROGRESS))
                return
            complained.append(line)
            self.watcher.prints(name, line, error=True)

        await _finished(
            process, self._give(process), _lines(process.stdout, out), _lines(process.stderr, err)
        )
        code = process.returncode or 0
        del self._running[name]
        return Ended(
            exit_code=code if code >= 0 else _BY_SIGNAL - code,
            seconds=round(time.monotonic() - began, 3),
            error=complaint(complained) if code else "",
            result=_result("\n".join(printed)),
        )

    async def _give(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None:
            return
        # Whoever ends without reading says why in its own output.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(self.stdin)
            await process.stdin.drain()
        process.stdin.close()

    def _interrupt(self) -> None:
        """Have all end: in order at first, and at once when that is asked for again."""
        again, self.is_interrupted = self.is_interrupted, True
        for process in self._running.values():
            _send(process, signal.SIGKILL if again else signal.SIGINT)
        if not again:
            asyncio.get_running_loop().call_later(ENDING_SECONDS, self._kill)
            self.watcher.interrupted()

    def _kill(self) -> None:
        for process in self._running.values():
            _send(process, signal.SIGKILL)

    async def _end(self) -> None:
        running = list(self._running.values())
        for process in running:
            _send(process, signal.SIGINT)
        if running:
            waits = [asyncio.create_task(process.wait()) for process in running]
            await asyncio.wait(waits, timeout=ENDING_SECONDS)
        self._kill()


async def _finished(
    process: asyncio.subprocess.Process, *streams: Coroutine[Any, Any, None]
) -> None:
    """Wait until a process has ended, and what it printed is read."""
    tasks = waiting = {asyncio.create_task(stream) for stream in streams}
    try:
        while waiting:
            done, waiting = await asyncio.wait(
                waiting, timeout=_DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if not done and process.returncode is not None:
                break
        await process.wait()
    finally:
        for task in tasks:
            task.cancel()


async def _lines(stream: asyncio.StreamReader | None, on_line: Callable[[str], None]) -> None:
    """Give each line as it comes, however long."""
    if stream is None:
        return
    pending = b""
    while piece := await stream.read(_PIECE):
        *complete, pending = (pending + piece).split(b"\n")
        for line in complete:
            on_line(line.decode(errors="replace").rstrip("\r"))
    if pending:
        on_line(pending.decode(errors="replace"))


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _result(text: str) -> Any:
    """Read what a command printed with --json; what is none is kept as it is."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
