"""The oldest Docker that is supported, on a host over SSH: Debian 12's own 20.10."""

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.networks import Network

from tests.engine.container import wait_until
from tests.machine import host
from tests.machine.conftest import RemoteOperator
from tests.machine.host import Host

SECONDS = 120
"""From the machine's start to opencode's answer."""


@pytest.fixture(scope="module")
def box(
    docker_client: docker.DockerClient,
    network: Network,
    archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Host]:
    """A Debian 12 in the place of the usual one."""
    folder = tmp_path_factory.mktemp("old")
    with host.host(docker_client, network, folder, archive=archive, suite="bookworm") as booted:
        booted.load()
        yield booted


def test_a_deployment_comes_up_there_and_nothing_is_found_against_it(remote: RemoteOperator):
    seen = json.loads(remote.occ("host", "test", remote.stack, "--json"))
    assert seen["facts"]["docker"]["version"].startswith("20.10.")
    assert seen["well"] is True, seen["findings"]
    assert json.loads(remote.occ("status", "--json"))["health"] == "healthy"
    remote.deployment.stack.preview("--expect-no-changes", "--refresh")


@pytest.mark.parametrize("unit", [False, True])
def test_it_is_back_when_the_host_starts(remote: RemoteOperator, unit: bool):
    if unit:
        remote.occ("install", "--yes")
    boot = json.loads(remote.occ("status", "--json"))["boot"]
    assert (boot["unit"] is not None, boot["starts_at_boot"]) == (unit, True)
    remote.there.restart()

    def is_well() -> bool:
        return remote.occ.attempt("status").returncode == 0

    wait_until(is_well, SECONDS, lambda: str(remote.occ.attempt("status").stdout))
