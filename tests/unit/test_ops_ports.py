"""Who has a port that is in use."""

import os
import socket
from collections.abc import Iterator

import pytest

from opencode_cloud.configuration import load
from opencode_cloud.ops import lifecycle, ports
from opencode_cloud.ops.errors import EngineError, OperationError
from tests.unit.cli_parts import DROPPED, STOPPED, FakeEngine, container, deployment

ADDRESS = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((ADDRESS, 0)) as server:
        yield server.getsockname()[1]


def engine(port: int, name: str = "squatter") -> FakeEngine:
    published = {"Names": [f"/{name}"], "Ports": [{"PrivatePort": 80}, {"PublicPort": port}]}
    nobody = EngineError("no such container", 404)
    others = {f"/containers/opencode-{stack}/json": nobody for stack in ("other", "second")}
    return FakeEngine({"/containers/json": [published], **others})


def test_a_free_port_is_no_problem(taken: int):
    found = ports.problem(ADDRESS, taken)
    assert found
    assert found.next_free
    assert found.next_free > taken
    assert ports.problem(ADDRESS, found.next_free) is None


def test_a_program_is_named_with_what_ends_it(taken: int):
    found = ports.problem(ADDRESS, taken)
    assert found
    assert f"(process {os.getpid()})" in str(found)
    assert found.to_free == f"kill {os.getpid()}"


def test_a_container_is_named_rather_than_the_program_that_leads_to_it(taken: int):
    found = ports.problem(ADDRESS, taken, engine(taken))
    assert found
    assert str(found) == f"Port {taken} is in use by the container squatter."
    assert found.to_free == "docker stop squatter"


def test_ones_own_container_is_not_in_its_own_way(taken: int):
    own = engine(taken, "opencode-local")
    assert ports.problem(ADDRESS, taken, own, "opencode-local") is None
    assert ports.problem(ADDRESS, taken, own, "opencode-other")


def test_a_port_that_docker_has_for_no_container_is_freed_by_its_restart(
    taken: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("opencode_cloud.start.ports.owner", lambda _: "docker-proxy (process 7)")
    found = ports.problem(ADDRESS, taken, FakeEngine({"/containers/json": []}), "opencode-local")
    assert found
    assert str(found) == f"Port {taken} is in use by Docker, for a container that it does not run."
    assert found.to_free == "sudo systemctl restart docker"


def test_of_dockers_proxy_alone_it_is_said_how_to_find_its_container(
    taken: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("opencode_cloud.start.ports.owner", lambda _: "docker-proxy (process 7)")
    found = ports.problem(ADDRESS, taken)
    assert found
    assert str(found) == f"Port {taken} is in use by docker-proxy (process 7)."
    assert found.to_free == f"docker ps --filter publish={taken} shows the container"


def test_without_docker_and_rights_it_is_said_how_to_find_out(
    taken: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("opencode_cloud.start.ports.owner", lambda _: "")
    silent = FakeEngine({"/containers/json": EngineError("no answer")})
    found = ports.problem(ADDRESS, taken, silent)
    assert found
    assert str(found) == f"Port {taken} is in use by another program on this machine."
    assert found.to_free == f"sudo ss -ltnp 'sport = :{taken}' shows which"


def test_a_deployment_is_not_begun_on_a_port_of_somebody_else(taken: int):
    free = ports.problem(ADDRESS, taken)
    assert free
    others = {"image_source": "build", "port": str(free.next_free)}
    ports.require_free(load(others, "second"), "second", engine(1))
    own = engine(taken, "opencode-second")
    ports.require_free(load(others | {"port": str(taken)}, "second"), "second", own)
    for setting in ("port", "metrics_port"):
        settings = load(others | {setting: str(taken)}, "second")
        with pytest.raises(OperationError) as caught:
            ports.require_free(settings, "second", engine(taken))
        said = str(caught.value)
        assert f"Port {taken} is in use by the container squatter" in said
        assert f"(occ --host second config set {setting} " in said


@pytest.mark.parametrize(
    ("inside", "environment", "setting"),
    [
        ("8080/tcp", (), "port"),
        ("8443/tcp", ("OPENCODE_CLOUD_TLS=internal",), "port"),
        ("8080/tcp", ("OPENCODE_CLOUD_TLS=internal",), "http_port"),
        ("8081/tcp", (), "metrics_port"),
    ],
)
def test_the_setting_to_change_is_the_one_that_the_port_comes_from(
    taken: int, inside: str, environment: tuple[str, ...], setting: str
):
    bound = {inside: [{"HostIp": ADDRESS, "HostPort": str(taken)}]}
    answers = {
        "/containers/c0ffee/start": EngineError(
            f"Bind for {ADDRESS}:{taken} failed: port is already allocated", 500
        ),
        "/containers/json": [],
    }
    facts = container(
        state=STOPPED, environment=environment, host=DROPPED | {"PortBindings": bound}
    )
    with pytest.raises(OperationError) as caught:
        lifecycle.start(deployment(facts, **answers), lambda _: None)
    said = str(caught.value)
    assert said.startswith(f"Port {taken} is in use by ")
    assert f"(occ config set {setting} " in said
    assert said.endswith(f"kill {os.getpid()}")
