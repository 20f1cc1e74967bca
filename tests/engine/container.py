"""A container of the image alone, run as a deployment runs it, without Pulumi."""

import re
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import Mount

from opencode_cloud.spec.container import (
    CAPABILITIES,
    HTTP_PORT,
    HTTPS_PORT,
    METRICS_PORT,
    SYSCTLS,
)
from opencode_cloud.spec.volumes import MOUNT_PATHS
from tests.engine.deployment import PASSWORD, USER, free_port
from tests.engine.execution import execute

BASIC = (USER, PASSWORD)
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
"""What a browser sends when a person types an address."""
LANDING = "/L3dvcmtzcGFjZQ/session"
"""Where people land: opencode's path of a ready prompt in /workspace."""


METRICS = {"OPENCODE_CLOUD_METRICS": "true"}
PATIENT = {"OPENCODE_CLOUD_RATE_LIMIT_ATTEMPTS": "1000"}
"""For tests that guess passwords often, and are not about the limit."""


class Running:
    """One container with volumes of its own."""

    def __init__(
        self,
        client: docker.DockerClient,
        image: str,
        environment: Mapping[str, str] = PATIENT,
        *,
        network: str | None = None,
        folders: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` may turn TLS on; `network` is one of Docker's, besides its own.

        `folders` of the host are mounted at the places that they are given.
        """
        self._client = client
        self._image = image
        self._environment = dict(environment)
        self._network = network
        self._folders = dict(folders or {})
        self._ports = {port: free_port() for port in (HTTP_PORT, HTTPS_PORT, METRICS_PORT)}
        self.name = f"opencode-image-test-{uuid.uuid4().hex[:12]}"
        self.url = f"http://127.0.0.1:{self._ports[HTTP_PORT]}"
        self.https_url = f"https://localhost:{self._ports[HTTPS_PORT]}"
        self.metrics_url = f"http://127.0.0.1:{self._ports[METRICS_PORT]}/metrics"
        if "OPENCODE_CLOUD_TLS" in self._environment:
            port = str(self._ports[HTTPS_PORT])
            self._environment.setdefault("OPENCODE_CLOUD_PUBLISHED_PORT", port)

    @property
    def container(self) -> Container:
        """The container as it is now."""
        return self._client.containers.get(self.name)

    def create(self) -> None:
        """Start a new container on the volumes, and wait until opencode answers."""
        self._client.containers.run(
            self._image,
            detach=True,
            name=self.name,
            environment=self._environment,
            network=self._network,
            ports={f"{inside}/tcp": ("127.0.0.1", port) for inside, port in self._ports.items()},
            volumes={
                f"{self.name}-{volume}": {"bind": path, "mode": "rw"}
                for volume, path in MOUNT_PATHS.items()
            },
            mounts=[Mount(target, source, "bind") for source, target in self._folders.items()],
            cap_drop=["ALL"],
            cap_add=list(CAPABILITIES),
            security_opt=["no-new-privileges"],
            sysctls=SYSCTLS,
            mem_limit="2g",
            pids_limit=1024,
        )
        self.wait_healthy()

    def remove_container(self) -> None:
        """Remove the container and leave its volumes."""
        self.container.remove(force=True, v=True)

    def remove(self) -> None:
        """Remove everything that was made."""
        self.remove_container()
        for volume in MOUNT_PATHS:
            self._client.volumes.get(f"{self.name}-{volume}").remove()

    def run(self, *command: str, stdin: str = "", user: str = "root") -> str:
        """Run a command in the container and give its output; it must succeed."""
        done = self.attempt(*command, stdin=stdin, user=user)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def attempt(
        self, *command: str, stdin: str = "", user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as a person does with `docker exec`."""
        return execute(self.name, *command, stdin=stdin, user=user, apart=True, seconds=60)

    def add_user(self, name: str = USER, password: str = PASSWORD) -> None:
        """Add a user who may sign in."""
        self.run("opencode-user", "add", name, stdin=f"{password}\n")

    def internal_basic(self) -> tuple[str, str]:
        """opencode's own credentials, which must be of no use outside."""
        return "opencode", self.run("cat", "/run/opencode-cloud/opencode/password").strip()

    def send_raw(self, request: str) -> str:
        """Send a request to the letter, lines ended as HTTP does, and give the whole answer."""
        address = urlsplit(self.url)
        target = (address.hostname, address.port or 80)
        with socket.create_connection(target, timeout=10) as connection:
            connection.sendall(request.replace("\n", "\r\n").encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return answer.decode(errors="replace")

    def pids(self, pattern: str) -> list[int]:
        """The processes whose command line matches, oldest first."""
        found = self.attempt("pgrep", "--full", pattern)
        return [int(line) for line in found.stdout.split()]

    def logs(self) -> str:
        """What the container has printed so far."""
        return self.container.logs().decode()

    def wait_printed(self, words: str, seconds: float = 30) -> None:
        """Wait until the container has printed `words`: a log is behind what it tells of."""
        wait_until(lambda: words in self.logs(), seconds, self.logs)

    def wait_healthy(self, seconds: float = 120) -> None:
        """Wait until `/health` answers 200."""
        wait_until(self.is_healthy, seconds, self.logs)

    def is_healthy(self) -> bool:
        """Whether `/health` answers 200 now."""
        if "OPENCODE_CLOUD_PROXY_PROTOCOL" in self._environment:
            return self.attempt("/usr/lib/opencode-cloud/healthcheck").returncode == 0
        try:
            return requests.get(f"{self.url}/health", timeout=5).status_code == requests.codes.ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def health(self) -> dict[str, Any]:
        """What `/health` says."""
        return requests.get(f"{self.url}/health", timeout=30).json()

    def sign_in(self, **fields: str) -> requests.Session:
        """A browser that is signed in."""
        browser = requests.Session()
        answer = self.send_form(browser, **fields)
        assert answer.status_code == requests.codes.see_other, answer.text
        return browser

    def lets_in(self, browser: requests.Session) -> bool:
        """Whether the gateway lets a browser through to opencode."""
        answer = browser.get(f"{self.url}/global/health", timeout=10)
        return answer.status_code == requests.codes.ok

    def send_form(self, browser: requests.Session, **fields: str) -> requests.Response:
        """Open the login page, fill it in, and give the answer."""
        page = browser.get(f"{self.url}/_gateway/login", timeout=10)
        form = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', page.text))
        form |= {"username": USER, "password": PASSWORD} | fields
        return browser.post(
            f"{self.url}/_gateway/login", data=form, timeout=10, allow_redirects=False
        )


def wait_until(
    condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = str
) -> None:
    """Wait until `condition` holds; fail with what `explain` gives when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)


@contextmanager
def running(
    client: docker.DockerClient,
    image: str,
    environment: Mapping[str, str] = PATIENT,
    *,
    network: str | None = None,
) -> Iterator[Running]:
    """A fresh container with a user, gone afterwards with its volumes."""
    made = Running(client, image, environment, network=network)
    try:
        made.create()
        made.add_user()
        yield made
    finally:
        with suppress(NotFound):
            made.remove()
