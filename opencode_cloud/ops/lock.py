"""One changing command at a time on a stack."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.start.paths import Paths

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def changing(paths: Paths, stack: str, what: str) -> Iterator[None]:
    """Hold the stack while the command `what` changes it; nobody waits.

    The kernel frees it when the process ends, however it ends: it is never stale. A signal to
    end comes as KeyboardInterrupt, so that what was begun can be put in order.

    Raises:
        OperationError: another command holds it; says which, and since when.
        KeyboardInterrupt: with words that say how to go on.
    """
    path = paths.stack_lock(stack)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationError(
                f"The stack {stack!r} is being changed by {_holder(file)}. Wait until it ends, "
                "and try again: the lock goes with that process, however it ends."
            ) from None
        write_holder(file, what)
        try:
            with orderly_end():
                yield
        except KeyboardInterrupt as interrupt:
            words = str(interrupt) or (
                f"{what} was stopped. Nothing stays locked, and users, sessions and projects are "
                "as they were. To see how things are: occ status. To go on: the same command again."
            )
            raise KeyboardInterrupt(words) from None


@contextmanager
def orderly_end() -> Iterator[None]:
    """Have a signal to end come as KeyboardInterrupt, so that nothing half-made is left."""
    before = {number: signal.signal(number, _interrupt) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def write_holder(file: TextIO, what: str) -> None:
    """Write who holds a lock into its file."""
    file.seek(0)
    file.truncate()
    file.write(f"{what} (process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')})\n")
    file.flush()


def _holder(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip() or "a process that does not say which"


def is_held(path: Path) -> str:
    """Say who holds a lock; empty when nobody does."""
    if not path.exists():
        return ""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(file)
    return ""
