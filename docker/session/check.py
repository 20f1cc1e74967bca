"""nginx's question about each request, who is there: asked more often than all others together.

It has a protocol of its own, because aiohttp spends five times as long on a question as the
answer takes. nginx alone can ask: it sends a head of its own making, with the headers that
session.conf names, spelt as they are there, and no body; and the next one after the answer.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from session import request as incoming
from session.request import Message, Question
from session.upstream import Upstream
from session.verifier import Later
from session.visitors import Visitors

LONGEST_HEAD = 128 * 1024
"""Bytes; more than nginx takes from a client."""
_END = b"\r\n\r\n"
_REASONS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 500: "Internal Server Error"}

_log = logging.getLogger("session")


@dataclass(frozen=True)
class Answer:
    """200 lets a request through; the rest carries why not."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        status = f"HTTP/1.1 {self.status} {_REASONS[self.status]}"
        return f"{status}\r\n{fields}Content-Length: 0\r\n\r\n".encode()


class Check:
    """Answers the question."""

    def __init__(self, visitors: Visitors, upstream: Upstream) -> None:
        self._visitors = visitors
        self._upstream = upstream

    async def answer(self, question: Message) -> Answer:
        """Who sends the request, or why it goes no further."""
        headers = question.headers
        app = incoming.app_origin(headers)
        is_app = app is not None and incoming.credentials(headers) is not None
        if not is_app and incoming.is_foreign(
            headers["X-Gateway-Method"], headers.get("X-Gateway-Upgrade", ""), headers
        ):
            return _refusal(403, "foreign")
        visitor = await self._visitors.of(question)
        if visitor is None:
            return _refusal(401, "unauthenticated")
        if isinstance(visitor, Later):
            return _refusal(403, f"limited:{visitor.seconds}")
        if not await self._upstream.is_ready():
            return _refusal(403, "starting")
        told = {"X-Gateway-Account": visitor.user, "X-Gateway-Grant": visitor.grant}
        return Answer(200, told | ({"X-Gateway-Origin": app} if app else {}))


class Connection(asyncio.Protocol):
    """One of nginx's connections, on which it asks one question after the other."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (its base's)
        """Answer no more."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer when the question is whole."""
        self._received += data
        if not self._received.endswith(_END):
            if len(self._received) > LONGEST_HEAD and self._transport:
                self._transport.close()
            return
        head, self._received = self._received, b""
        self._task = asyncio.create_task(self._reply(head))

    async def _reply(self, head: bytes) -> None:
        try:
            answer = await self._check.answer(read(head))
        except Exception:
            _log.exception("a question could not be answered")
            answer = Answer(500)
        if self._transport:
            self._transport.write(bytes(answer))


def read(head: bytes) -> Question:
    """The question in a head. The values are text as aiohttp makes it of the same bytes."""
    lines = head.decode(errors="surrogateescape").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return Question({name: value.strip(" \t") for name, _, value in pairs})


def _refusal(status: int, reason: str) -> Answer:
    return Answer(status, {"X-Gateway-Refusal": reason})
