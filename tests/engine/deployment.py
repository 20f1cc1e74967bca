"""A running deployment, and what a person does with it from outside."""

import io
import random
import socket
import tarfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
from docker.models.containers import Container

from tests.engine.execution import execute
from tests.engine.stack import Stack

USER = "ada"
PASSWORD = "correct horse battery staple"


def free_port() -> int:
    """Find a port of loopback that nothing listens on.

    Below those that the system gives out itself, to the far ends of whatever runs meanwhile.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True)
class Deployment:
    """One stack that is up, with one user."""

    stack: Stack
    url: str
    client: docker.DockerClient

    @property
    def container(self) -> Container:
        """The container as it is now."""
        return self.client.containers.get(f"opencode-{self.stack.name}")

    @property
    def basic(self) -> tuple[str, str]:
        """Credentials as programs send them."""
        return USER, PASSWORD

    def get(self, path: str) -> requests.Response:
        """GET as the user, by Basic."""
        return requests.get(self.url + path, auth=self.basic, timeout=30)

    def run(self, *command: str, stdin: str = "", user: str = "root") -> str:
        """Run a command in the container and return its output; it must succeed."""
        done = execute(self.container.id, *command, stdin=stdin, user=user)
        assert done.returncode == 0, f"{command} failed with {done.returncode}: {done.stdout}"
        return done.stdout

    def start_process(self, *command: str) -> None:
        """Start a process of the agent's in the container, and leave it running."""
        self.container.exec_run(list(command), user="opencode", detach=True)

    def restart(self) -> None:
        """Restart the container and wait until it is healthy again."""
        self.container.restart()
        self.wait_healthy()

    def put(self, path: str, content: str) -> None:
        """Write a file of the agent's into the container."""
        data = content.encode()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo(Path(path).name)
            entry.size, entry.mode, entry.uid, entry.gid = len(data), 0o644, 1000, 1000
            archive.addfile(entry, io.BytesIO(data))
        assert self.container.put_archive(str(Path(path).parent), buffer.getvalue())

    def wait_healthy(self, seconds: float = 60) -> None:
        """Wait until ``/health`` says so."""
        deadline = time.monotonic() + seconds
        while not self._healthy():
            assert time.monotonic() < deadline, self.container.logs(tail=40).decode()
            time.sleep(0.2)

    def _healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).status_code == requests.codes.ok
        except (requests.ConnectionError, requests.Timeout):
            return False
