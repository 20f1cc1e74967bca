"""Takes nginx's connections, and keeps each for as long as its grant is good."""

import socket
import time

from streams.asker import PATIENCE_SECONDS, Asker
from streams.loop import READ, Loop
from streams.stream import Stream

AWAY = "503 Service Unavailable"
FULL = "503 Service Unavailable"
ESTABLISH_SECONDS = 10.0
"""What it may take to read a head and to connect to opencode; both are a matter of milliseconds."""
MOST_STREAMS = 4000
"""As many grants as one question to the session service may hold."""
TICK_SECONDS = 0.1


class Relay:
    """All streams there are."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        opencode: tuple[str, int],
        asker: Asker,
        most: int = MOST_STREAMS,
    ) -> None:
        """`opencode` is where it listens, `most` how many streams there may be at once."""
        self._loop = loop
        self._listener = listener
        self._opencode = opencode
        self._asker = asker
        self._most = most
        self._young: dict[Stream, float] = {}
        self._granted: dict[bytes, set[Stream]] = {}
        self._is_away = False
        self.count = 0
        """Connections that are open now."""
        loop.watch(listener, READ, self._accept)

    def turn(self) -> None:
        """Wait until there is something to do, and do it."""
        is_idle = not self.count and not self._asker.is_busy
        self._loop.turn(None if is_idle else TICK_SECONDS)
        now = time.monotonic()
        for stream in [stream for stream, due in self._young.items() if now >= due]:
            stream.expire()
        for grant in self._asker.turn(now, self._granted):
            self._close(grant)
        self._notice_absence(now)

    def arrived(self, stream: Stream) -> None:
        """Connect a stream, unless nobody can vouch for it."""
        if self._is_away:
            stream.refuse(AWAY)
            return
        self._granted.setdefault(stream.grant, set()).add(stream)
        stream.connect(self._opencode)

    def established(self, stream: Stream) -> None:
        """Let a stream take its time from now on."""
        del self._young[stream]

    def ended(self, stream: Stream) -> None:
        """Forget a stream."""
        self.count -= 1
        self._young.pop(stream, None)
        streams = self._granted.get(stream.grant, set())
        streams.discard(stream)
        if not streams:
            self._granted.pop(stream.grant, None)

    def _accept(self, _: int) -> None:
        client, _ = self._listener.accept()
        self.count += 1
        stream = Stream(self._loop, client, self)
        self._young[stream] = time.monotonic() + ESTABLISH_SECONDS
        if self.count > self._most:
            stream.refuse(FULL)

    def _close(self, grant: bytes) -> None:
        streams = list(self._granted.get(grant, ()))
        for stream in streams:
            stream.close()
        if streams:
            print(f"closed {_counted(streams)} of a sign-in that ended", flush=True)

    def _notice_absence(self, now: float) -> None:
        self._is_away = self._asker.is_away(now)
        if not self._is_away or not self._granted:
            return
        streams = [stream for streams in self._granted.values() for stream in streams]
        for stream in streams:
            stream.close()
        reason = f"the session service has not answered for {PATIENCE_SECONDS:g} s"
        print(f"closed {_counted(streams)}: {reason}", flush=True)


def _counted(streams: list[Stream]) -> str:
    return "1 stream" if len(streams) == 1 else f"{len(streams)} streams"
