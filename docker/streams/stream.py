"""One stream: a connection of nginx's, and the one to opencode that it is relayed to."""

import os
import socket
from contextlib import suppress
from typing import Protocol

from streams import head
from streams.flow import Flow
from streams.loop import READ, WRITE, Loop

UNGRANTED = "500 Internal Server Error"
UNREACHABLE = "502 Bad Gateway"


class Owner(Protocol):
    """Who is told what becomes of a stream."""

    def arrived(self, stream: "Stream") -> None:
        """Its grant is known: it can be connected or refused."""
        ...

    def established(self, stream: "Stream") -> None:
        """It is connected to opencode."""
        ...

    def ended(self, stream: "Stream") -> None:
        """It is closed."""
        ...


class Stream:
    """Reads the request's head, connects to opencode and relays until one side ends.

    What that side said is delivered first. nginx never ends one direction alone, so that what the
    other side might still say is of no use to anybody.
    """

    def __init__(self, loop: Loop, client: socket.socket, owner: Owner) -> None:
        self._loop = loop
        self._client = client
        self._opencode = socket.socket(socket.AF_INET)
        self._owner = owner
        self._sent = b""
        self._up = Flow(self._client, self._opencode)
        self._down = Flow(self._opencode, self._client)
        self.grant = b""
        """Empty until the head is complete."""
        self._client.setblocking(False)
        self._opencode.setblocking(False)
        # A key pressed in a terminal does not wait until the one before it is acknowledged.
        self._opencode.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._loop.watch(self._client, READ, self._read_head)

    def connect(self, address: tuple[str, int]) -> None:
        """Go on to opencode."""
        self._opencode.connect_ex(address)
        self._loop.watch(self._opencode, WRITE, self._begin)

    def refuse(self, status: str) -> None:
        """Close with a status and nothing else for an answer."""
        answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        with suppress(OSError):  # nginx may be gone already
            self._client.send(answer.encode())
        self.close()

    def expire(self) -> None:
        """Give up what has not become a stream in time."""
        late = "opencode does not accept connections" if self.grant else "its head is not complete"
        print(f"refused a request: {late}", flush=True)
        self.refuse(UNREACHABLE)

    def close(self) -> None:
        """Close both sides at once."""
        self._loop.close(self._client)
        self._loop.close(self._opencode)
        self._owner.ended(self)

    def _read_head(self, _: int) -> None:
        try:
            data = self._client.recv(head.LARGEST)
        except OSError:
            data = b""
        self._sent += data
        text, end, body = self._sent.partition(head.END)
        if not end and data and len(self._sent) < head.LARGEST:
            return
        try:
            self.grant, text = head.split_grant(text if end else b"")
        except head.UngrantedError as error:
            print(f"refused a request: {error}", flush=True)
            self.refuse(UNGRANTED)
            return
        self._sent = text + end + body
        # Whatever else it says can wait until there is somebody to hear it.
        self._loop.watch(self._client, 0, self._read_head)
        self._owner.arrived(self)

    def _begin(self, _: int) -> None:
        error = self._opencode.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            print(f"opencode cannot be reached: {os.strerror(error)}", flush=True)
            self.refuse(UNREACHABLE)
            return
        self._owner.established(self)
        self._up.send(memoryview(self._sent))
        self._sent = b""
        self._wait()

    def _hear_client(self, events: int) -> None:
        if events & WRITE:
            self._down.write()
        if events & READ:
            self._up.read()
        self._wait()

    def _hear_opencode(self, events: int) -> None:
        if events & WRITE:
            self._up.write()
        if events & READ:
            self._down.read()
        self._wait()

    def _wait(self) -> None:
        up, down = self._up, self._down
        if down.is_done and not down.has_moved:
            self.refuse(UNREACHABLE)
        elif up.is_done or down.is_done:
            self.close()
        else:
            self._loop.watch(self._client, up.source_events | down.sink_events, self._hear_client)
            events = down.source_events | up.sink_events
            self._loop.watch(self._opencode, events, self._hear_opencode)
