"""Serves one page over HTTP, to nginx alone."""

import socket
from collections.abc import Callable
from contextlib import suppress

from metrics.page import CONTENT_TYPE

CLIENT_SECONDS = 5.0
LARGEST_HEAD = 64 * 1024
"""Bytes."""

_END = b"\r\n\r\n"


def serve(listener: socket.socket, page: Callable[[], str]) -> None:
    """Answer one request after the other, for ever."""
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # nginx has gone, or says nothing
            connection.settimeout(CLIENT_SECONDS)
            connection.sendall(answer(_head(connection), page))


def answer(head: bytes, page: Callable[[], str]) -> bytes:
    """The answer to a request; `page` is asked for only when the request is for it."""
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if path != b"/metrics":
        return _response("404 Not Found", "")
    if method != b"GET":
        return _response("405 Method Not Allowed", "")
    return _response("200 OK", page())


def _head(connection: socket.socket) -> bytes:
    received = b""
    while _END not in received and len(received) < LARGEST_HEAD:
        data = connection.recv(LARGEST_HEAD)
        if not data:
            break
        received += data
    return received


def _response(status: str, text: str) -> bytes:
    body = text.encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
