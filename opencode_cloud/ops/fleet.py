"""A command on several stacks: a process for each, side by side."""

import asyncio
import json
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from opencode_cloud.ops.member import ENDING_SECONDS, Member
from opencode_cloud.ops.project import DEFAULT_STACK
from opencode_cloud.spec.fleet import INTERRUPTED, NOT_BEGUN, PROGRESS, Ended, complaint
from opencode_cloud.start import stack_file
from opencode_cloud.start.paths import Paths

_LAST_LINES = 50
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


def known(root: Path, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Give every stack that has settings in the program's folder `root`, and its groups.

    The settings that a checkout brings along are nobody's stack until it is used.
    """
    paths = Paths.of(root, environment)
    found = stack_file.all_of(root)
    if DEFAULT_STACK in found and not _is_used(paths, found[DEFAULT_STACK]):
        del found[DEFAULT_STACK]
    return {name: stack_file.groups(stack_file.read(file)) for name, file in found.items()}


def _is_used(paths: Paths, file: Path) -> bool:
    # Pulumi binds a stack's file to its secrets when it makes the stack.
    text = file.read_text(errors="replace")
    return (
        paths.applied(DEFAULT_STACK).exists()
        or "\nsecretsprovider:" in f"\n{text}"
        or (stack_file.has_salt(file))
    )


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
    _running: dict[str, Member] = field(default_factory=dict, init=False)

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
        except BaseException:
            # Whoever watches cannot go on, such as when nobody reads any more.
            self.is_interrupted = True
            self._tell(signal.SIGINT)
            loop.call_later(ENDING_SECONDS, self._tell, signal.SIGKILL)
            await asyncio.wait(tasks)
            raise

    async def _when(self, free: asyncio.Semaphore, name: str) -> Ended:
        async with free:
            if self.is_interrupted:
                ended = Ended(INTERRUPTED, 0, NOT_BEGUN)
            else:
                ended = await self._one(name)
        self.watcher.ends(name)
        return ended

    async def _one(self, name: str) -> Ended:
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

        began = time.monotonic()
        self.watcher.begins(name)
        member = self._running[name] = Member(self.words(name), self.stdin)
        try:
            code = await member.run(out, err)
        finally:
            del self._running[name]
        return Ended(
            exit_code=code,
            seconds=round(time.monotonic() - began, 3),
            error=complaint(complained) if code else "",
            result=_result("\n".join(printed)),
        )

    def _interrupt(self) -> None:
        """Have all end: in order at first, and at once when that is asked for again."""
        if self.is_interrupted:
            self._tell(signal.SIGKILL)
            return
        self.is_interrupted = True
        self._tell(signal.SIGINT)
        asyncio.get_running_loop().call_later(ENDING_SECONDS, self._tell, signal.SIGKILL)
        self.watcher.interrupted()

    def _tell(self, number: signal.Signals) -> None:
        for member in self._running.values():
            member.tell(number)


def _result(text: str) -> Any:
    """Read what a command printed with --json; what is none is kept as it is."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
