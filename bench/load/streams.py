"""Holds event streams open: `streams.py PORT PATH COUNT`, a header on the first line of stdin.

Says `open` when all are, and at the end of stdin how many still are.
"""

import asyncio
import sys

AT_ONCE = 20


class Streams:
    """Open streams, and how many of them there are."""

    def __init__(self, port: int, path: str, header: str) -> None:
        self._port = port
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Accept: text/event-stream\r\n{header}\r\n\r\n"
        ).encode()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._readers: list[asyncio.Task[None]] = []
        self.count = 0

    async def add(self) -> None:
        """Open one, up to its first event."""
        async with self._gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.splitlines()[0]:
                sys.exit(f"no stream: {head.decode()}")
            await reader.readuntil(b"data:")
        self.count += 1
        self._readers.append(asyncio.create_task(self._read(reader, writer)))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.count -= 1


async def main(port: int, path: str, count: int) -> None:
    """Open them, and wait."""
    streams = Streams(port, path, sys.stdin.readline().strip())
    await asyncio.gather(*(streams.add() for _ in range(count)))
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(streams.count, flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
