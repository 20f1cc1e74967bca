"""What one run of the tests makes, and another beside it finds made."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEFAULT_PORT = "port-4096"
"""This machine's own port 4096, which a deployment and a tunnel take when they are given none."""


@contextmanager
def in_turn(what: str) -> Iterator[None]:
    """Wait until no other run is at it."""
    name = f"opencode-cloud-tests-{os.getuid()}-{what}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
