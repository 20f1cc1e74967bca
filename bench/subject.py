"""The container that is measured, and what puts load on it from inside its network.

Both ways to opencode, directly and through the gateway, are loopback there, so that what
differs between them is the gateway and not Docker's network.
"""

import json
import subprocess
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
from docker.models.containers import Container

from bench.browsing import Site
from opencode_cloud.spec.container import HTTP_PORT
from tests.engine.container import BASIC, Running, running, wait_until
from tests.engine.deployment import USER, free_port
from tests.engine.execution import execute

LOAD_IMAGE = "opencode-cloud/bench"
"""wrk and clients of our own. It stays for the next run."""
OTHER = "grace"
"""A second user, besides the one who is measured."""
OPENCODE_PORT = 4096
SECONDS = 3
"""How long each measure asks."""


@dataclass(frozen=True)
class Way:
    """A way to opencode from inside the container: a port, and a header that says who asks."""

    port: int
    header: str


@dataclass(frozen=True)
class Answers:
    """What many requests took. Latencies in milliseconds."""

    count: int
    rate: float
    """Requests a second."""
    median: float
    p99: float


class Client:
    """A client of ours beside the container, which works until it is ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._stdin, self._stdout = process.stdin, process.stdout

    def tell(self, line: str) -> None:
        """Give it a line that must not be among its arguments."""
        print(line, file=self._stdin, flush=True)

    def heard(self) -> str:
        """Its next line."""
        return self._stdout.readline().strip()

    def end(self) -> str:
        """Have it stop, and give what it says last."""
        self._stdin.close()
        return self.heard()


@dataclass(frozen=True)
class Subject:
    """A container of our image with two users, and one in its network that puts load on it."""

    opencode: Running
    load: Container

    def direct(self) -> Way:
        """To opencode itself, with its own password."""
        return Way(OPENCODE_PORT, basic(*self.opencode.internal_basic()))

    def by_basic(self) -> Way:
        """Through the gateway, as a program."""
        return Way(HTTP_PORT, basic(*BASIC))

    def by_cookie(self, user: str = USER) -> Way:
        """Through the gateway, as a browser that is signed in."""
        cookies = self.opencode.sign_in(username=user).cookies
        return Way(HTTP_PORT, "Cookie: " + "; ".join(f"{c.name}={c.value}" for c in cookies))

    def site(self) -> Site:
        """The gateway's page, for a browser that is signed in."""
        cookies = self.opencode.sign_in().cookies
        return Site(self.opencode.url, cookies={c.name: c.value or "" for c in cookies})

    def ask(self, way: Way, path: str, *headers: str, connections: int = 1) -> Answers:
        """Ask for `path` as fast as it is answered."""
        options = ["--latency", f"--connections={connections}", f"--duration={SECONDS}s"]
        for header in (way.header, *headers):
            options += ["--header", header]
        address = f"http://127.0.0.1:{way.port}{path}"
        output = self.run("wrk", "--threads=1", "--script=report.lua", *options, address)
        report = json.loads(output.splitlines()[-1])
        assert not report["failed"], output
        median, p99 = report["median"] / 1000, report["p99"] / 1000
        return Answers(report["count"], report["rate"], median, p99)

    def memory(self) -> dict[str, float]:
        """PSS in MB of all that is not opencode, by user."""
        users = self._processes().items()
        return {user: taken["kib"] * 1024 / 1e6 for user, taken in users if user != "opencode"}

    def processor(self, way: Way, path: str, connections: int) -> dict[str, float]:
        """CPU time in microseconds that one request takes of each user's processes."""
        before = self._processes()
        count = self.ask(way, path, connections=connections).count
        now = self._processes()
        return {
            user: (taken["seconds"] - before[user]["seconds"]) / count * 1e6
            for user, taken in now.items()
        }

    def run(self, *command: str) -> str:
        """Run a command beside the container; it must succeed."""
        done = execute(self.load.id, *command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _processes(self) -> dict[str, dict[str, float]]:
        return json.loads(self.run("python3", "processes.py"))

    @contextmanager
    def client(self, script: str, *arguments: str) -> Iterator[Client]:
        """Run a client of ours beside the container; leaving ends it."""
        # Nice, because the other side of a network brings processors of its own.
        command = ["nice", "-n", "19", "python3", script, *arguments]
        with subprocess.Popen(
            ["docker", "exec", "--interactive", str(self.load.id), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield Client(process)


@contextmanager
def subject(client: docker.DockerClient, image: str, base: str) -> Iterator[Subject]:
    """Start both containers, and remove them afterwards; `base` is what ours is built on."""
    client.images.build(
        path=str(Path(__file__).parent / "load"),
        buildargs={"BASE_IMAGE": base},
        tag=LOAD_IMAGE,
        rm=True,
        forcerm=True,
    )
    with running(client, image, {}) as opencode:
        opencode.add_user(OTHER)
        load = client.containers.run(
            LOAD_IMAGE,
            detach=True,
            network_mode=f"container:{opencode.name}",
            pid_mode=f"container:{opencode.name}",
            cap_add=["SYS_PTRACE"],  # to read how large the processes of other users are
        )
        try:
            yield Subject(opencode, load)
        finally:
            load.remove(force=True, v=True)


@contextmanager
def alone(client: docker.DockerClient, image: str) -> Iterator[Site]:
    """opencode without the gateway, in a workspace like ours, on a port of its own."""
    port, password = free_port(), uuid.uuid4().hex
    serve = f"git init --quiet && exec opencode serve --hostname 0.0.0.0 --port {OPENCODE_PORT}"
    container = client.containers.run(
        image,
        ["-c", serve],
        entrypoint="sh",
        detach=True,
        user="opencode",
        working_dir="/workspace",
        healthcheck={"test": ["NONE"]},  # it asks the gateway
        environment={"OPENCODE_SERVER_PASSWORD": password},
        ports={f"{OPENCODE_PORT}/tcp": ("127.0.0.1", port)},
    )
    name, _, value = basic("opencode", password).partition(": ")
    site = Site(f"http://127.0.0.1:{port}", headers={name: value})
    try:
        wait_until(lambda: _answers(site), 60, lambda: container.logs().decode())
        yield site
    finally:
        container.remove(force=True, v=True)


def basic(user: str, password: str) -> str:
    """Credentials as programs send them."""
    return "Authorization: Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _answers(site: Site) -> bool:
    # opencode never answers what reaches it while it boots.
    try:
        return requests.get(site.url, headers=site.headers, timeout=2).ok
    except (requests.ConnectionError, requests.Timeout):
        return False
