"""Runs the metrics service on its two Unix sockets, as services/metrics/run tells it to."""

import os
import socket
import threading
from pathlib import Path

from metrics.container import Container
from metrics.counts import Counts
from metrics.entry import parse
from metrics.page import page
from metrics.server import serve
from metrics.session import fetch

RUN = Path("/run/opencode-cloud")
LONGEST_ENTRY = 1024
"""Bytes; a longer one is none."""


def main() -> None:
    """Count and serve until killed: counters begin at zero again, as Prometheus expects."""
    counts, container = Counts(), Container()
    entries = _bind(socket.SOCK_DGRAM, RUN / "metrics/requests")
    listener = _bind(socket.SOCK_STREAM, RUN / "metrics/socket")
    listener.listen()
    threading.excepthook = _end
    threading.Thread(
        target=serve,
        args=(listener, lambda: page(counts, container, fetch(RUN / "session/socket"))),
        daemon=True,
    ).start()
    while True:
        entry = parse(entries.recv(LONGEST_ENTRY))
        if entry:
            counts.add(entry)


def _end(failure: threading.ExceptHookArgs) -> None:
    """Half a service is none: say what failed, and be started anew."""
    threading.__excepthook__(failure)
    os._exit(1)


def _bind(kind: socket.SocketKind, path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, kind)
    bound.bind(str(path))
    # Its folder lets in the gateway alone.
    path.chmod(0o666)
    return bound


main()
