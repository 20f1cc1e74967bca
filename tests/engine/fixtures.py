"""The real parts that the engine and browser layers stand on, made once a session."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.engine import machine
from tests.engine.command_program import Program, command_program
from tests.engine.container import Running, running
from tests.engine.deployment import PASSWORD, USER, Deployment, free_port
from tests.engine.machine import pulumi_environment
from tests.engine.operator import Operator, operating
from tests.engine.stack import Stack, copy_program
from tests.engine.turns import in_turn


@pytest.fixture(scope="session")
def engine_path() -> Path:
    """Folder of the pulumi that ``./check`` found or built."""
    pulumi = shutil.which("pulumi")
    assert pulumi, 'no pulumi on PATH: run ./check engine, or first eval "$(./start --print-env)"'
    return Path(pulumi).parent


@pytest.fixture(scope="session")
def pulumi_env(
    root: Path, engine_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Environment with a backend and a passphrase of this test run alone."""
    assert engine_path
    return pulumi_environment(root, tmp_path_factory.mktemp("pulumi"))


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    """The engine that ``./check`` found or started."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def build_settings(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with which this machine can build the image."""
    return machine.build_settings(root, tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="session")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program, so that no test writes into the checkout."""
    return copy_program(root, tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def deployment(
    project: Path,
    pulumi_env: dict[str, str],
    build_settings: dict[str, str],
    docker_client: docker.DockerClient,
) -> Iterator[Deployment]:
    """One deployment that is up, with a user, shared by tests that leave it as it was."""
    stack = Stack(f"test-{os.getpid()}", project, pulumi_env)
    port = free_port()
    stack.create(build_settings | {"port": str(port)})
    try:
        # The second of two runs finds every layer in the engine's cache.
        with in_turn("image"):
            stack.up()
        running = Deployment(stack, stack.outputs()["url"], docker_client)
        running.run("opencode-user", "add", USER, stdin=f"{PASSWORD}\n")
        yield running
    finally:
        stack.remove()


@pytest.fixture(scope="session")
def image(deployment: Deployment) -> str:
    """The image that the deployment built."""
    return deployment.stack.outputs()["imageDigest"]


@pytest.fixture(scope="module")
def opencode(docker_client: docker.DockerClient, image: str) -> Iterator[Running]:
    """A container of the image alone, one a module; tests leave it as they found it."""
    with running(docker_client, image) as container:
        yield container


@pytest.fixture(scope="module")
def operated(
    root: Path,
    image: str,
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Operator]:
    """A deployment that a module may change by occ alone; made by ./start, with one user."""
    # The shared deployment's: every layer is in the engine's cache then.
    assert image
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    stack = f"{name}-{os.getpid()}"[:40].replace("_", "-")
    folder = tmp_path_factory.mktemp("operator")
    with operating(root, folder, stack, docker_client) as operator:
        yield operator


@pytest.fixture
def program(tmp_path: Path, pulumi_env: dict[str, str]) -> Iterator[Program]:
    """A Pulumi program of nothing but commands."""
    folder = tmp_path / "project"
    folder.mkdir()
    with command_program(folder, pulumi_env) as made:
        yield made


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """File that the commands under test write to."""
    return tmp_path / "diary"
