"""A flood of a gateway from another address than its user's, until stdin ends.

Wrong passwords as fast as they are answered, bodies that hardly move and connections that say
nothing; whoever is thrown out comes back. Prints, at the end, what came of it, as JSON.
"""

import asyncio
import base64
import json
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable

SOURCE = "127.0.0.2"
GUESSES = 16
SLOW_BODIES = 200
IDLE = 500
BODY = 16_000
"""Bytes that a slow body promises; it sends one a second."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Flood:
    """All that comes from the other address."""

    def __init__(self, port: int, user: str) -> None:
        self._port = port
        self._user = user
        self.outcomes: Counter[str] = Counter()

    async def keep(self, behave: Behaviour) -> None:
        """Connect and behave so, again and again."""
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self._port, local_addr=(SOURCE, 0)
                )
            except OSError:
                self.outcomes["refused connections"] += 1
                await asyncio.sleep(1)
                continue
            try:
                await behave(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.outcomes["closed connections"] += 1
                await asyncio.sleep(1)
            finally:
                writer.close()

    async def guess(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Another wrong password each time."""
        while True:
            pair = f"{self._user}:{uuid.uuid4().hex}".encode()
            basic = base64.b64encode(pair).decode()
            writer.write(
                f"GET /path HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
                f"Authorization: Basic {basic}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            self.outcomes[f"guesses answered {head.split()[1]}"] += 1
            length = head.partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            if "connection: close" in head:
                return

    async def send_slowly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A form to sign in that takes hours."""
        writer.write(
            f"POST /_gateway/login HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {BODY}\r\n\r\n".encode()
        )
        while not reader.at_eof():
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(1)
        self.outcomes["closed bodies"] += 1
        await asyncio.sleep(1)

    async def say_nothing(
        self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        """Wait to be thrown out."""
        await reader.read()
        self.outcomes["closed idle connections"] += 1
        await asyncio.sleep(1)


async def main(port: int, user: str) -> None:
    """Flood until stdin ends."""
    flood = Flood(port, user)
    behaviours = (
        [flood.guess] * GUESSES + [flood.send_slowly] * SLOW_BODIES + [flood.say_nothing] * IDLE
    )
    tasks = [asyncio.create_task(flood.keep(behaviour)) for behaviour in behaviours]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(flood.outcomes), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
