"""One line that is typed or pasted, and not shown."""

import os
import select
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from opencode_cloud.ops.errors import OperationError

_LONGEST = 4095
"""Bytes: a terminal takes no longer line, and drops what is beyond."""
_SECONDS = 0.2
"""In which the next line of something pasted is there."""


def ask(question: str, otherwise: str) -> str:
    """Ask on the terminal of standard input.

    Args:
        question: for the person.
        otherwise: the command that takes what a terminal cannot.

    Raises:
        OperationError: it is more than one line; nothing of the rest is left for the shell.
    """
    with _silent():
        # Asked when nothing is shown any more: whoever types at once is not read by others.
        print(question, end=" ", file=sys.stderr, flush=True)
        line = os.read(0, _LONGEST + 1)
        more = bool(select.select([0], [], [], _SECONDS)[0])
    print(file=sys.stderr)
    if more or len(line) > _LONGEST:
        raise OperationError(
            "A terminal takes one line of at most 4095 bytes, and this was more. Nothing was "
            f"changed. Give it by: {otherwise}"
        )
    try:
        return line.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise OperationError("That is no UTF-8 text. Nothing was changed.") from None


@contextmanager
def _silent() -> Iterator[None]:
    before = termios.tcgetattr(0)
    silent = list(before)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        # What was pasted beyond the line must not become the shell's next commands.
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
