"""Runs the relay on its Unix socket, as services/streams/run tells it to."""

import os
import resource
import socket
from pathlib import Path

from streams.asker import Asker
from streams.loop import Loop
from streams.relay import MOST_STREAMS, Relay

RUN = Path("/run/opencode-cloud")
OTHER_FILES = 64
"""Open files that are not a stream's two sockets."""


def main() -> None:
    """Serve until killed: there is nothing to save, and the kernel closes the streams."""
    loop = Loop()
    relay = Relay(
        loop,
        _listen(RUN / "streams/socket"),
        ("127.0.0.1", int(os.environ["OPENCODE_CLOUD_PORT"])),
        Asker(loop, RUN / "session/socket"),
        _most_streams(),
    )
    while True:
        relay.turn()


def _most_streams() -> int:
    """As many as the container's limit on open files allows."""
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_STREAMS + OTHER_FILES
    files = wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, allowed))
    return (files - OTHER_FILES) // 2


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    # Its folder lets in the gateway alone.
    path.chmod(0o666)
    listener.setblocking(False)
    listener.listen(1024)
    return listener


main()
