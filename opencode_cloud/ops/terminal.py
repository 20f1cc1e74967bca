"""A command in the container, joined to this process's own streams."""

import os
import signal
import socket
import sys
import termios
import threading
import tty
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.execution import create, exit_code, run
from opencode_cloud.ops.frames import STDERR, frames

WORKSPACE = "/workspace"
_MARK = "OCC_SHELL"
"""Variable by which a command and all that it started are found again."""
_VARIABLE = "OPENCODE_CLOUD_ENV_"
"""As `opencode_cloud.spec.container` writes it; importing that costs 0.1 s."""
_PIECE = 65536
"""Bytes."""
_PASSED_ON = ("TERM", "COLORTERM", "LANG", "LC_ALL", "NO_COLOR")
_SIGNALS = (signal.SIGHUP, signal.SIGTERM)

# What it was started with ends with it: `$0` is the signal, `$1` the mark.
_END = """
for file in /proc/[0-9]*/environ; do
    if grep -qzx "$1" "$file" 2>/dev/null; then
        process=${file#/proc/}
        kill -s "$0" "${process%/environ}" 2>/dev/null
    fi
done
"""


@dataclass(frozen=True)
class Person:
    """As whom a command runs."""

    user: str
    home: str


AGENT = Person("opencode", "/home/opencode")
ROOT = Person("root", "/root")


class EndedBySignalError(Exception):
    """A signal ended us before the command did; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name.removeprefix("SIG"))


def command_line(words: Sequence[str], *, terminal: bool) -> list[str]:
    """Give what is run: a shell that people know, or the command as it is."""
    if not words:
        return ["bash", "--login"] if terminal else ["bash"]
    # A shell finds it and says in plain words when it is not there; nothing is read by it.
    return ["sh", "-c", 'exec "$@"', "occ", *words]


def environment(person: Person, ours: Mapping[str, str], *, terminal: bool) -> list[str]:
    """Give the variables of the command, as NAME=VALUE."""
    values = {"HOME": person.home, "USER": person.user, "LOGNAME": person.user}
    values["SHELL"] = "/bin/bash"
    if terminal:
        values |= {name: ours[name] for name in _PASSED_ON if name in ours}
        values.setdefault("TERM", "xterm-256color")
    return [f"{name}={value}" for name, value in values.items()]


def variables(person: Person, container: Mapping[str, str]) -> list[str]:
    """Give what `occ env` set for opencode, as NAME=VALUE.

    Root gets none of it: a PATH of the agent's own choice would decide what root runs.
    """
    if person != AGENT:
        return []
    return [
        f"{name.removeprefix(_VARIABLE)}={value}"
        for name, value in container.items()
        if name.startswith(_VARIABLE)
    ]


def is_terminal() -> bool:
    """Whether a person sits at both ends: what is typed, and what is shown."""
    return os.isatty(0) and os.isatty(1)


def attach(deployment: Deployment, words: Sequence[str], person: Person) -> int:
    """Run a command, or a shell when there are no words; gives its exit code.

    Raises:
        OperationError: the container does not run, or the engine refused.
        EndedBySignalError: we were told to end; the command was told so too.
        KeyboardInterrupt: likewise.
    """
    deployment.require_running()
    terminal = is_terminal()
    mark = f"{_MARK}={uuid.uuid4().hex}"
    size = _size() if terminal else None
    options: dict[str, Any] = {
        "User": person.user,
        "WorkingDir": WORKSPACE,
        "AttachStdin": True,
        "Tty": terminal,
        "Env": [
            *environment(person, os.environ, terminal=terminal),
            *variables(person, deployment.environment),
            mark,
        ],
    }
    if size:
        options["ConsoleSize"] = size
    engine = deployment.engine
    command = command_line(words, terminal=terminal)
    identifier = create(engine, deployment.container, command, options)
    start = {"Tty": terminal, **({"ConsoleSize": size} if size else {})}
    with engine.hijack(f"/exec/{identifier}/start", start) as (connection, reader):
        try:
            with ExitStack() as held:
                held.enter_context(_signals_raised())
                if terminal:
                    held.enter_context(_resized(deployment, identifier))
                    held.enter_context(_raw_terminal())
                _pump(connection, reader, terminal=terminal)
        except (KeyboardInterrupt, EndedBySignalError, OSError) as error:
            _end(deployment, person, mark, _signal_for(error))
            raise
    return exit_code(engine, identifier)


def _pump(connection: socket.socket, reader: BinaryIO, *, terminal: bool) -> None:
    """Copy both ways until the command closes its side."""
    threading.Thread(target=_send_input, args=(connection,), daemon=True).start()
    if terminal:
        while piece := reader.read1(_PIECE):  # type: ignore[attr-defined] - makefile's reader has it
            _write(sys.stdout.buffer, piece)
        return
    for number, piece in frames(reader):
        _write(sys.stderr.buffer if number == STDERR else sys.stdout.buffer, piece)


def _send_input(connection: socket.socket) -> None:
    # The command may end, and its connection with it, before all is read.
    with suppress(OSError):
        while typed := os.read(0, _PIECE):
            connection.sendall(typed)
        connection.shutdown(socket.SHUT_WR)


def _write(to: BinaryIO, piece: bytes) -> None:
    to.write(piece)
    to.flush()


def _size() -> list[int]:
    """Height and width, as the engine wants them."""
    width, height = os.get_terminal_size(1)
    return [height, width]


@contextmanager
def _raw_terminal() -> Iterator[None]:
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        # A window that was closed has nothing to restore.
        with suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextmanager
def _resized(deployment: Deployment, identifier: str) -> Iterator[None]:
    """Give the command's terminal the size of ours, now and whenever it changes."""

    def resize(*_: object) -> None:
        height, width = _size()
        # The command may have ended just now.
        with suppress(EngineError):
            deployment.engine.post(f"/exec/{identifier}/resize", query={"h": height, "w": width})

    before = signal.signal(signal.SIGWINCH, resize)
    resize()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _signals_raised() -> Iterator[None]:
    def end(number: int, _: object) -> None:
        raise EndedBySignalError(number)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal_for(error: BaseException) -> str:
    """Give what the command is sent when we cannot go on: what it would have got here."""
    if isinstance(error, EndedBySignalError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "INT"
    return "PIPE" if isinstance(error, BrokenPipeError) else "HUP"


def _end(deployment: Deployment, person: Person, mark: str, name: str) -> None:
    """Send a signal to the command and all that it started: the engine would leave them running."""
    with suppress(OperationError):
        run(deployment, "sh", "-c", _END, name, mark, user=person.user)
