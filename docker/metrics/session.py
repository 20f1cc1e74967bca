"""The session service's own part of the metrics."""

import socket
import time
from pathlib import Path

from streams.answer import UnansweredError, body

SECONDS = 3.0
"""It waits two of them for an opencode that hangs, and then says so."""
LARGEST = 1 << 20
"""Bytes."""


def fetch(service: Path) -> str | None:
    """What it says of itself on its socket; None when it does not."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            return body(_exchange(connection, service)).decode()
    except (OSError, UnicodeError, UnansweredError):
        return None


def _exchange(connection: socket.socket, service: Path) -> bytes:
    deadline = time.monotonic() + SECONDS
    connection.settimeout(SECONDS)
    connection.connect(str(service))
    connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: session\r\n\r\n")
    received = b""
    while len(received) < LARGEST and (data := connection.recv(1 << 16)):
        received += data
        connection.settimeout(max(0.001, deadline - time.monotonic()))
    return received
