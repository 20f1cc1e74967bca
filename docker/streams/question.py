"""The question to the session service, which of the sign-ins have ended."""

import socket
from collections.abc import Collection
from pathlib import Path

from streams.answer import UnansweredError, body
from streams.loop import READ, WRITE, Loop


class Question:
    """One POST /grants, under way."""

    def __init__(self, loop: Loop, service: Path, grants: Collection[bytes]) -> None:
        """`service` is the session service's socket."""
        self._loop = loop
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        self._unsent = memoryview(request(grants))
        self._received = bytearray()
        self.void: frozenset[bytes] | None = None
        """The answer: the grants that are void."""
        self.problem = ""
        """Why there is no answer."""
        try:
            self._socket.connect(str(service))
        except OSError as error:
            self._fail(error)
        else:
            self._loop.watch(self._socket, WRITE, self._send)

    @property
    def is_over(self) -> bool:
        """Whether there is an answer or a problem."""
        return self.void is not None or bool(self.problem)

    def give_up(self, problem: str) -> None:
        """Wait no longer."""
        self.problem = problem
        self._loop.close(self._socket)

    def _send(self, _: int) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except OSError as error:
            self._fail(error)
            return
        if not self._unsent:
            self._loop.watch(self._socket, READ, self._receive)

    def _receive(self, _: int) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except OSError as error:
            self._fail(error)
            return
        if data:
            self._received += data
            return
        try:
            self.void = frozenset(body(bytes(self._received)).split())
        except UnansweredError as error:
            self.problem = str(error)
        self._loop.close(self._socket)

    def _fail(self, error: OSError) -> None:
        self.give_up(error.strerror or type(error).__name__)


def request(grants: Collection[bytes]) -> bytes:
    """The question as it is sent. HTTP/1.0, so that the answer ends with the connection."""
    lines = b"".join(grant + b"\n" for grant in grants)
    return (
        b"POST /grants HTTP/1.0\r\nHost: session\r\nContent-Type: text/plain\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(lines), lines)
    )
