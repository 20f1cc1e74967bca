"""An ACME server for tests: Let's Encrypt's pebble, in a container beside the one under test."""

import hashlib
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import docker
from docker.models.containers import Container
from docker.models.networks import Network

from tests.engine.container import wait_until
from tests.engine.execution import execute
from tools.engine.build import find_go

SOURCES = Path(__file__).parents[2] / "tools" / "pebble"
DAY = 86400
START = """
names="DNS:$NAME,IP:$(hostname -i)"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj "/CN=$NAME" \
    -addext "subjectAltName=$names" -keyout /tmp/key.pem -out /tmp/certificate.pem
printf %s "$CONFIG" > /tmp/config.json
pebble-challtestsrv -management 127.0.0.1:8055 -dnsserver 127.0.0.1:8053 \
    -defaultIPv4= -defaultIPv6= -http01= -https01= -doh= -tlsalpn01= &
exec pebble -config /tmp/config.json -dnsserver 127.0.0.1:8053
"""
FOLLOW = """
until address=$(getent ahostsv4 "$2") && [ "$address" ]; do
    sleep 0.1
done
"""
POINT = """
dns=http://127.0.0.1:8055
curl -sf "$dns/clear-a" -d '{"host": "'"$1"'"}'
curl -sf "$dns/add-a" -d '{"host": "'"$1"'", "addresses": ["'"${address%% *}"'"]}'
"""
"""By DNS, which takes effect at once: Go rereads /etc/hosts after five seconds at the earliest."""


class Pebble:
    """A certificate authority that the container under test can reach by its name."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.url = f"https://{container.name}:14000/dir"
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"]
        self.address = next(network["IPAddress"] for network in networks.values())

    def is_ready(self) -> bool:
        """Whether it takes requests."""
        both = "curl -sfk https://localhost:14000/dir && curl -s http://127.0.0.1:8055"
        return self._run("sh", "-c", both) != ""

    @property
    def https_certificate(self) -> str:
        """What a client must trust to talk to it, as PEM."""
        return self._run("cat", "/tmp/certificate.pem")

    @property
    def root(self) -> str:
        """What a browser must trust to take the certificates that it gives, as PEM."""
        return self._run("curl", "-sfk", "https://localhost:15000/roots/0")

    def point(self, name: str, address: str) -> None:
        """Have it find `name` at an address, from now on."""
        command = ("sh", "-ec", f"address=$2\n{POINT}", "point", name, address)
        done = execute(self._container.id, *command)
        assert done.returncode == 0, done.stdout

    def follow(self, name: str, container: str) -> None:
        """Have it find `name` at a container, as soon as that one is up."""
        command = ["sh", "-ec", f"{FOLLOW}{POINT}", "follow", name, container]
        self._container.exec_run(command, detach=True)

    def logs(self) -> str:
        """What it has printed so far."""
        return self._container.logs().decode()

    def _run(self, *command: str) -> str:
        done = execute(self._container.id, *command)
        return done.stdout if done.returncode == 0 else ""


@contextmanager
def pebble(
    client: docker.DockerClient,
    image: str,
    network: Network,
    seconds: int = 90 * DAY,
    *,
    port: int = 8080,
) -> Iterator[Pebble]:
    """A pebble whose certificates last `seconds`; it looks for challenges at `port`."""
    config = {
        "listenAddress": "0.0.0.0:14000",
        "managementListenAddress": "0.0.0.0:15000",
        "certificate": "/tmp/certificate.pem",
        "privateKey": "/tmp/key.pem",
        "httpPort": port,
        "keyAlgorithm": "ecdsa",
        "profiles": {"default": {"description": "the only one", "validityPeriod": seconds}},
        "retryAfter": {"authz": 1, "order": 1},
    }
    name = f"opencode-acme-test-{uuid.uuid4().hex[:12]}"
    container = client.containers.run(
        image,
        [START],
        entrypoint=["sh", "-c"],
        healthcheck={"test": ["NONE"]},
        detach=True,
        name=name,
        network=network.name,
        environment={
            "NAME": name,
            "CONFIG": json.dumps({"pebble": config}),
            "PEBBLE_VA_NOSLEEP": "1",
        },
        volumes={
            str(program): {"bind": f"/usr/local/bin/{program.name}", "mode": "ro"}
            for program in programs()
        },
    )
    try:
        made = Pebble(container)
        wait_until(made.is_ready, 20, made.logs)
        yield made
    finally:
        container.remove(force=True, v=True)


@contextmanager
def network(client: docker.DockerClient) -> Iterator[Network]:
    """A network on which containers find each other by name."""
    made = client.networks.create(f"opencode-acme-test-{uuid.uuid4().hex[:12]}")
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def trusting(client: docker.DockerClient, image: str, authority: str) -> Iterator[str]:
    """The image with one more authority in its trust store, as a private ACME server needs."""
    base, derived = (f"opencode-acme-test:{uuid.uuid4().hex[:12]}" for _ in range(2))
    client.images.get(image).tag(base)
    text = f"FROM {base}\nARG EXTRA_CA_CERTIFICATES\nRUN trust-authorities\n"
    try:
        client.images.build(
            fileobj=BytesIO(text.encode()),
            tag=derived,
            buildargs={"EXTRA_CA_CERTIFICATES": authority},
            rm=True,
        )
        yield derived
    finally:
        for tag in (derived, base):
            client.images.remove(tag)


def programs() -> list[Path]:
    """Pebble and its DNS server, built from their module where they are not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opencode-cloud"
    module = b"".join((SOURCES / file).read_bytes() for file in ("go.mod", "go.sum"))
    folder = cache / "pebble" / hashlib.sha256(module).hexdigest()[:16]
    built = [folder / name for name in ("pebble", "pebble-challtestsrv")]
    if not all(program.exists() for program in built):
        go = find_go(cache / "engine", lambda line: print(line, flush=True))
        # For a container, whose C library may be another one.
        environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath"}
        command = [go, "build", "-o", f"{folder}/", "tool"]
        subprocess.run(command, cwd=SOURCES, env=environment, check=True)
    return built
