"""Runs the validators service on its Unix socket, as services/validators/run tells it to."""

import os
import socketserver
from pathlib import Path

from validators.handler import handler

SOCKET = Path("/run/opencode-cloud/validators/socket")


class Server(socketserver.ThreadingUnixStreamServer):
    """One thread for each request: opencode takes up to a second for its largest answer."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until told to stop."""
    SOCKET.unlink(missing_ok=True)
    # Its folder lets in the gateway alone.
    os.umask(0)
    with Server(
        str(SOCKET), handler("127.0.0.1", int(os.environ["OPENCODE_CLOUD_PORT"]))
    ) as server:
        server.serve_forever()


main()
