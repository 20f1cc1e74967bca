"""Machines as a cloud provider rents them out: Debian, cloud-init, SSH and a disk of its own."""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
import urllib3
from docker.errors import NotFound
from docker.models.networks import Network

from opencode_cloud.spec.machine import SSH_USER
from tests.machine.debian import REPOSITORY, company_authorities, create, image_of, packed
from tests.machine.host import SUITE, Host

DOCKERFILE = Path(__file__).with_name("cloud.Dockerfile")
PACKAGES = "curl docker-cli docker-compose docker.io nftables unattended-upgrades"
SEED = "var/lib/cloud/seed/nocloud"
DISK_BYTES = 1 << 30
BOOT_SECONDS = 420
"""Installing Docker included, on a machine that does other work as well."""

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


@dataclass(frozen=True)
class Cloud(Host):
    """One rented machine, from inside and outside."""

    def get(self, path: str = "/health", port: int = 443) -> requests.Response | None:
        """Ask it from outside, over HTTPS; ``None`` when nothing answers."""
        try:
            url = f"https://{self.address}:{port}{path}"
            return requests.get(url, timeout=5, verify=False, allow_redirects=False)
        except requests.RequestException:
            return None

    def wait_for(self, code: int, port: int = 443, seconds: float = BOOT_SECONDS) -> list[str]:
        """Wait until `/health` answers that, from outside; gives the other answers on the way."""
        deadline = time.monotonic() + seconds
        seen: list[str] = []
        while True:
            answer = self.get(port=port)
            if answer is not None and answer.status_code == code:
                return seen
            text = answer.text if answer is not None else ""
            if text and text not in seen:
                seen.append(text)
            assert time.monotonic() < deadline, f"{seen}\n{self.journal()}"
            time.sleep(0.3)

    def wait_for_cloud_init(self) -> str:
        """Wait until the first boot is over, and give how it ended."""
        return self.run("cloud-init status --wait --long", user="root").out

    def wait_until_logged(self, text: str, seconds: float = BOOT_SECONDS) -> None:
        """Wait until its steps have printed that."""
        deadline = time.monotonic() + seconds
        while self.run(f"grep -qF '{text}' /var/log/opencode-cloud.log", user="root").code:
            assert time.monotonic() < deadline, self.journal()
            time.sleep(0.2)

    def give(self, image: str) -> None:
        """Give it an image of this engine's that it could pull elsewhere."""
        saved = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        loaded = ["docker", "exec", "--interactive", str(self.container.name), "docker", "load"]
        subprocess.run(loaded, stdin=saved.stdout, check=True, stdout=subprocess.DEVNULL)
        assert saved.wait() == 0

    def journal(self) -> str:
        """What it says of itself."""
        script = "tail -n 60 /var/log/opencode-cloud.log /var/log/cloud-init-output.log"
        return self.run(f"{script}; journalctl --no-pager -n 60", user="root").out

    def ssh(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on it, as whoever administers it does."""
        return subprocess.run(
            self._ssh(command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    @contextmanager
    def ssh_begun(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """Begin a command on it; both kinds of output are one. Ended afterwards."""
        with subprocess.Popen(
            self._ssh(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as begun:
            try:
                yield begun
            finally:
                begun.kill()

    def _ssh(self, command: str) -> list[str]:
        options = (
            *("-i", str(self.key), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        )
        return ["ssh", "-q", *options, f"{SSH_USER}@{self.address}", command]


def cloud_image(client: docker.DockerClient, *, with_docker: bool, stage: str = "") -> str:
    """Make the image of a provider, where the engine does not have it yet; gives its name."""
    name = f"{REPOSITORY}-{stage or 'cloud'}{'-docker' if with_docker else ''}:{SUITE}"
    command = ["docker", "build", "--quiet", "--tag", name, "--file", str(DOCKERFILE)]
    if stage:
        command += ["--target", stage]
    arguments = {"MACHINE": image_of(client, SUITE), "DOCKER": PACKAGES if with_docker else ""}
    done = subprocess.run(
        [
            *command,
            *(word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))),
            str(DOCKERFILE.parent),
        ],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return name


@contextmanager
def disk(folder: Path) -> Iterator[str]:
    """A blank disk that outlives machines: a loop device; gives its path."""
    file = folder / "disk.img"
    with file.open("wb") as made:
        made.truncate(DISK_BYTES)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(file)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def rented(
    client: docker.DockerClient,
    network: Network,
    user_data: str,
    key: Path,
    *,
    number: int,
    device: str,
    authority: dict[str, bytes],
    with_docker: bool,
) -> Iterator[Cloud]:
    """Boot one for the first time; gone afterwards, and its disk is not.

    Args:
        client: of the engine that it runs in.
        network: of the hosts.
        user_data: what its cloud-init is given.
        key: private key of whoever administers it.
        number: last part of its address.
        device: its data disk.
        authority: files that it has besides, such as those by which it trusts a registry.
        with_docker: whether its packages are installed already.
    """
    made = create(
        client,
        f"{REPOSITORY}-cloud-{secrets.token_hex(4)}",
        cloud_image(client, with_docker=with_docker),
        *("--network", str(network.name), "--ip", address_of(network, number)),
        *("--device", device),
    )
    try:
        made.put_archive("/", company_authorities())
        identity = f"instance-id: {secrets.token_hex(8)}\nlocal-hostname: opencode\n"
        seed = {f"{SEED}/user-data": user_data, f"{SEED}/meta-data": identity}
        files = {name: text.encode() for name, text in seed.items()}
        made.put_archive("/", packed({**files, **authority}))
        made.start()
        yield Cloud(made, "root", address_of(network, number), key)
    finally:
        with suppress(NotFound):
            made.remove(force=True, v=True)


def hashed(password: str) -> str:
    """Hash a password as an operator does; with one salt, as a config's hash stays the same."""
    command = ["openssl", "passwd", "-6", "-salt", "opencode", "-stdin"]
    done = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def address_of(network: Network, number: int) -> str:
    """Give an address of the network."""
    assert network.attrs
    subnet = network.attrs["IPAM"]["Config"][0]["Subnet"]
    return f"{subnet.rpartition('.')[0]}.{number}"
