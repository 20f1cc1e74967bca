"""Machines that one reaches by SSH, each with a Docker engine, in a network of their own."""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from tests.engine.ssh_server import make_key
from tests.machine.debian import REPOSITORY, Machine, company_authorities, create, image_of, packed

DOCKERFILE = Path(__file__).with_name("host.Dockerfile")
SUITE = "trixie"
OLD_SUITES = ("bookworm",)
"""Where Docker's command is no package of its own."""
BOOT_SECONDS = 180
ARCHIVE = "/opt/opencode-image.tar"
"""Where a host finds the image that it is to have without a registry."""


@dataclass(frozen=True)
class Host(Machine):
    """A machine, and what an operator knows of it."""

    address: str
    key: Path
    """Private key that `root` and `ada` let in."""
    has_docker: bool = True

    @property
    def checkout(self) -> str:
        """There is none: scripts start in the home."""
        return self.home

    @property
    def host_keys(self) -> str:
        """Its public keys, as `ssh_host_key` takes them."""
        lines = self.as_root("cat /etc/ssh/ssh_host_*_key.pub").splitlines()
        return ",".join(" ".join(line.split()[:2]) for line in lines)

    @property
    def settings(self) -> dict[str, str]:
        """What a stack's settings say of it."""
        return {
            "target": "ssh",
            "ssh_host": f"{self.user}@{self.address}",
            "ssh_host_key": self.host_keys,
            "ssh_identity_file": str(self.key),
        }

    def wait_reachable(self) -> None:
        """Wait until its SSH server answers, and its Docker engine where it has one."""
        deadline = time.monotonic() + BOOT_SECONDS
        asked = "systemctl is-active --quiet ssh"
        if self.has_docker:
            asked += " docker && docker version > /dev/null"
        while self.run(asked, user="root").code:
            assert time.monotonic() < deadline, self.run("systemctl --failed", user="root").out
            time.sleep(0.3)

    def restart(self) -> None:
        """Switch it off in order, and on."""
        super().restart()
        self.wait_reachable()

    def power_off(self) -> None:
        """Take its power away."""
        self.container.kill()

    def power_on(self) -> None:
        """Give it power again."""
        self.container.start()
        self.wait_booted()
        self.wait_reachable()

    def connections(self) -> int:
        """Count the connections that its SSH server has."""
        return len(self.as_root("ss -Htn state established 'sport = :22'").splitlines())

    def load(self) -> None:
        """Load the image that was put beside it."""
        self.as_root(f"docker load --quiet --input {ARCHIVE}")


@contextmanager
def network(client: docker.DockerClient) -> Iterator[Network]:
    """A network in which every host keeps its address over a restart."""
    made = _network(client)
    try:
        yield made
    finally:
        made.remove()


def _network(client: docker.DockerClient) -> Network:
    # Addresses that stay have to be in a range that was said.
    for _ in range(20):
        subnet = f"172.31.{secrets.randbelow(255)}.0/24"
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
        try:
            return client.networks.create(f"{REPOSITORY}-{secrets.token_hex(4)}", ipam=pool)
        except APIError as error:
            if "overlaps" not in str(error):
                raise
    raise AssertionError("no free range of addresses for a network")


def host_image(client: docker.DockerClient, *, has_docker: bool = True, suite: str = SUITE) -> str:
    """Make the image of a host, where the engine does not have it yet; gives its name."""
    name = f"{REPOSITORY}-host:{suite}{'' if has_docker else '-bare'}"
    command = ["docker", "build", "--quiet", "--tag", name, "--file", str(DOCKERFILE)]
    if not has_docker:
        command += ["--target", "bare"]
    if suite in OLD_SUITES:
        command += ["--build-arg", "DOCKER=docker.io"]
    arguments = ("--build-arg", f"MACHINE={image_of(client, suite)}", str(DOCKERFILE.parent))
    done = subprocess.run(
        [*command, *arguments],
        # The classic builder is the one that needs nothing more.
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return name


@contextmanager
def host(
    client: docker.DockerClient,
    network: Network,
    folder: Path,
    *,
    number: int = 2,
    user: str = "ada",
    archive: Path | None = None,
    wait: bool = True,
    has_docker: bool = True,
    suite: str = SUITE,
) -> Iterator[Host]:
    """Boot one host; gone afterwards.

    Args:
        client: of the engine that it runs in.
        network: of the hosts.
        folder: where its key is made, unless one is there.
        number: last part of its address.
        user: who deploys to it.
        archive: `docker save` of an image, put beside it; `Host.load` loads it.
        wait: until SSH and Docker answer.
        has_docker: whether Docker is installed.
        suite: of Debian.
    """
    key = folder / "id"
    if not key.exists():
        make_key(key)
    assert network.attrs
    subnet = network.attrs["IPAM"]["Config"][0]["Subnet"]
    address = f"{subnet.rpartition('.')[0]}.{number}"
    made = create(
        client,
        f"{REPOSITORY}-host-{secrets.token_hex(4)}",
        host_image(client, has_docker=has_docker, suite=suite),
        *("--network", str(network.name), "--ip", address),
        *(("--volume", f"{archive}:{ARCHIVE}:ro") if archive else ()),
    )
    try:
        made.put_archive("/", company_authorities())
        public = key.with_suffix(".pub").read_bytes()
        for home in ("root", "home/ada"):
            made.put_archive("/", packed({f"{home}/.ssh/authorized_keys": public}))
        made.start()
        booted = Host(made, user, address, key, has_docker)
        booted.wait_booted()
        booted.as_root("chown -R ada: /home/ada/.ssh")
        if wait:
            booted.wait_reachable()
        yield booted
    finally:
        made.remove(force=True, v=True)
