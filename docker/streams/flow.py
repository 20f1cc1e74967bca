"""One direction of a stream."""

import socket

from streams.loop import READ, WRITE

_BUFFER = memoryview(bytearray(32 * 1024))
"""What is on its way, for all streams in turn: idle ones need no buffer."""


class Flow:
    """Passes on what one socket says to another one, byte for byte.

    What the sink does not take at once, at most a buffer, is kept, and nothing more is read until
    it is gone: a slow reader slows its sender down, as if they were connected.
    """

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self._source = source
        self._sink = sink
        self._kept = b""
        self._has_ended = False
        self._is_refused = False
        self.has_moved = False
        """The source has said something."""

    @property
    def is_done(self) -> bool:
        """Everything was said and passed on."""
        return self._has_ended and not self._kept

    @property
    def source_events(self) -> int:
        """What to wait for on the source."""
        return 0 if self._kept or self._has_ended or self._is_refused else READ

    @property
    def sink_events(self) -> int:
        """What to wait for on the sink."""
        return WRITE if self._kept else 0

    def read(self) -> None:
        """Pass on what the source says."""
        try:
            count = self._source.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count:
            self.has_moved = True
            self.send(_BUFFER[:count])
        else:
            self._has_ended = True

    def write(self) -> None:
        """Pass on what was kept."""
        self.send(memoryview(self._kept))

    def send(self, data: memoryview) -> None:
        """Pass on `data`, as if the source had said it just now."""
        try:
            data = data[self._sink.send(data) :]
        except BlockingIOError:
            pass
        except OSError:
            # A sink that takes no more may still be saying why: it is the other flow that ends.
            self._is_refused = True
            data = data[:0]
        self._kept = bytes(data)
