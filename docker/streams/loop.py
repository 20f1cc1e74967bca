"""Waiting for many sockets at once.

asyncio does this too, and takes 7 MB more for it: as much as the rest of the relay.
"""

import selectors
import socket
from collections.abc import Callable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

Ready = Callable[[int], None]
"""Called with READ, WRITE or both. On a socket that failed too: reading or writing tells how."""


class Loop:
    """Calls back when a socket can be read from or written to."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._watched: dict[int, selectors.SelectorKey] = {}

    def watch(self, watched: socket.socket, events: int, ready: Ready) -> None:
        """Wait for `events` on a socket from now on; for nothing when they are 0."""
        fd = watched.fileno()
        key = self._watched.get(fd)
        if key and not events:
            self._selector.unregister(watched)
            del self._watched[fd]
        elif key and (key.events, key.data) != (events, ready):
            self._watched[fd] = self._selector.modify(watched, events, ready)
        elif events and not key:
            self._watched[fd] = self._selector.register(watched, events, ready)

    def close(self, watched: socket.socket) -> None:
        """Close a socket, watched or not."""
        if watched.fileno() in self._watched:
            self._selector.unregister(watched)
            del self._watched[watched.fileno()]
        watched.close()

    def turn(self, seconds: float | None) -> None:
        """Wait until a socket is ready, for `seconds` at most, and call back for all that are."""
        for key, events in self._selector.select(seconds):
            # Not what an earlier callback has closed or waits for no longer.
            if self._watched.get(key.fd) is key:
                key.data(events)
