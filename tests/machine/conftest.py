"""Hosts to deploy to, and an image that they need no registry for."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.networks import Network

from tests.engine.deployment import PASSWORD, USER
from tests.engine.operator import Operator
from tests.machine import host
from tests.machine.host import Host

KEPT = "kept-000000000000"
"""How the tests' image is called on a host, behind the stack's name."""


@pytest.fixture(scope="session")
def network(docker_client: docker.DockerClient) -> Iterator[Network]:
    """The hosts' own network."""
    with host.network(docker_client) as made:
        yield made


@pytest.fixture(scope="session")
def archive(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of the shared deployment, for hosts to load."""
    file = tmp_path_factory.mktemp("archive") / "opencode.tar"
    subprocess.run(["docker", "save", "--output", str(file), image], check=True)
    return file


@pytest.fixture(scope="module")
def box(
    docker_client: docker.DockerClient,
    network: Network,
    archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    """One host a module, which has the image; its user may use Docker."""
    folder = tmp_path_factory.mktemp("box")
    with host.host(docker_client, network, folder, archive=archive) as booted:
        booted.load()
        yield booted


@dataclass(frozen=True)
class RemoteOperator(Operator):
    """Somebody who looks after a deployment on a host, by occ and by pulumi."""

    there: Host

    def up(self, image: str) -> None:
        """Deploy the image that is loaded on the host, and make one user."""
        self.there.as_root(f"docker tag {image} opencode-cloud:{self.stack}-{KEPT}")
        stack = self.deployment.stack
        stack.create(
            self.there.settings
            | {
                "image_source": "build",
                "kept_image": f"opencode-cloud:{self.stack}-{KEPT}",
                "port": str(self.port),
            }
        )
        stack.up()
        self.occ("user", "add", USER, "--password-stdin", stdin=f"{PASSWORD}\n".encode())

    def remove(self) -> None:
        """There is nothing of it on this machine; the host goes as a whole."""


def remote_operator(
    root: Path, folder: Path, there: Host, client: docker.DockerClient
) -> RemoteOperator:
    """Prepare somebody with a checkout and a state of their own, and no deployment yet."""
    made = RemoteOperator(folder, f"box-{os.getpid()}", 4096, client, there)
    made.prepare(root)
    (made.data / "state").mkdir()
    (made.data / "passphrase").write_text("for this run alone")
    return made


@pytest.fixture(scope="module")
def remote(
    root: Path,
    box: Host,
    image: str,
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> RemoteOperator:
    """A deployment on the module's host, with one user."""
    made = remote_operator(root, tmp_path_factory.mktemp("remote"), box, docker_client)
    made.up(image)
    return made
