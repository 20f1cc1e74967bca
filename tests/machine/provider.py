"""A provider of machines: what those under test are asked with, and what they reach."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.networks import Network

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import load
from opencode_cloud.environment import Environment
from opencode_cloud.settings import Settings
from opencode_cloud.spec.machine import Machine, machine, shipped_files
from tests.engine import registry
from tests.engine.acme import Pebble, pebble, trusting
from tests.engine.deployment import PASSWORD
from tests.engine.ssh_server import make_key
from tests.machine.cloud import address_of, disk, hashed

STACK = "cloud"


@dataclass
class Provider:
    """What the machines have in common, and the registry and authority that they know."""

    client: docker.DockerClient
    network: Network
    root: Path
    key: Path
    images: tuple[str, ...]
    """By their digests, in the registry; the last ones do the same as the first."""
    pebble: Pebble
    authority: dict[str, bytes]
    device: str

    def settings(self, target: Target, number: int, **changes: str) -> Settings:
        """Give the settings of a machine."""
        return load(self.values(target, number, **changes), STACK)

    def values(self, target: Target, number: int, **changes: str) -> dict[str, str]:
        """Give them as they stand in a stack's file."""
        raw = {
            "target": target,
            "region": "here-1",
            "gcp_project": "example" if target is Target.GCP else "",
            "ssh_public_key": self.key.with_suffix(".pub").read_text(),
            "ssh_from": address_of(self.network, 0) + "/24",
            "prebuilt_image": self.images[0],
            "acme_server": f"https://{self.pebble.address}:14000/dir",
            "public_address": address_of(self.network, number),
            "first_user_hash": hashed(PASSWORD),
            **changes,
        }
        return {name: value for name, value in raw.items() if value}

    def described(self, settings: Settings, secrets: tuple[str, ...] = ()) -> Machine:
        """Describe a machine of these settings, on the one disk."""
        return machine(
            settings,
            STACK,
            settings.prebuilt_image,
            shipped_files(self.root),
            environment=Environment(secrets=secrets),
            data_disk=self.device,
        )


@contextmanager
def provided(
    client: docker.DockerClient,
    network: Network,
    root: Path,
    image: str,
    *,
    folder: Path,
    numbers: Iterable[int],
    others: Iterable[str] = (),
) -> Iterator[Provider]:
    """Have a registry, a public authority and a disk.

    Args:
        client: of the engine that the machines run in.
        network: of the machines.
        root: of the checkout.
        image: of the deployment.
        folder: for keys, certificates and disks.
        numbers: last parts of the addresses whose names the authority finds.
        others: lines of a Dockerfile for each further image, made of the first.
    """
    key = folder / "id"
    make_key(key)
    host = address_of(network, 1)
    certificate = (folder / "registry.pem", folder / "registry.key")
    make_certificate(*certificate, host)
    with ExitStack() as stack:
        server = stack.enter_context(pebble(client, image, network, port=80))
        for number in numbers:
            server.point(host_name(network, number), address=address_of(network, number))
        trusted = stack.enter_context(trusting(client, image, server.https_certificate))
        lines = ["LABEL another=a", "LABEL another=b", *others]
        images = [trusted, *(made_of(trusted, more) for more in lines)]
        with registry.serving(folder) as local:
            published = [
                registry.publish(client, local, one, str(tag)) for tag, one in enumerate(images)
            ]
        reached = stack.enter_context(registry.serving(folder, host, certificate))
        yield Provider(
            client,
            network,
            root,
            key,
            tuple(one.replace(local, reached) for one in published),
            server,
            {f"etc/docker/certs.d/{reached}/ca.crt": certificate[0].read_bytes()},
            stack.enter_context(disk(folder)),
        )


def host_name(network: Network, number: int) -> str:
    """Give the sslip.io name of a machine."""
    return address_of(network, number).replace(".", "-") + ".sslip.io"


def make_certificate(certificate: Path, key: Path, address: str) -> None:
    """Make a registry's certificate."""
    names = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2", *names]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )


def made_of(image: str, lines: str) -> str:
    """Make another image of one."""
    done = subprocess.run(
        ["docker", "build", "--quiet", "-"],
        input=f"FROM {image}\n{lines}\n",
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
