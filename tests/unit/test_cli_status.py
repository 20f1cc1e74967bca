import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from opencode_cloud.cli import status_panel, status_rows
from opencode_cloud.configuration import load
from opencode_cloud.ops import deployment as deployments
from opencode_cloud.ops import health
from opencode_cloud.ops.errors import EngineError, NoDeploymentError
from opencode_cloud.ops.service_unit import ServiceUnit
from opencode_cloud.ops.status import (
    Certificate,
    Found,
    Inside,
    Status,
    describe,
    memory_used,
    missing,
    together,
)
from opencode_cloud.ops.users import User
from opencode_cloud.spec.container import container_spec, stack_label
from opencode_cloud.start import image_build
from tests.unit.cli_parts import IMAGE, STOPPED, FakeEngine, container, deployment
from tests.unit.test_cloud_settings import BALANCED, CLOUD

NOW = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
WELL = Inside(
    health=health.Health(True, version="1.18.33"),
    users=[User("ada", enabled=True), User("eve", enabled=False)],
)


def described(facts: dict[str, Any] | None = None, inside: Inside = WELL) -> Status:
    return describe(
        deployment(facts), NOW, Found(image={"RepoTags": ["opencode-cloud:x"]}, inside=inside)
    )


def test_a_healthy_deployment_ends_with_0():
    found = described()
    assert (found.state, found.health, found.exit_code) == ("running", "healthy", 0)
    assert found.url == "http://127.0.0.1:4096"
    assert found.versions.opencode == "1.18.33"
    assert found.provenance
    assert (found.provenance.reference, found.provenance.digest) == ("opencode-cloud:x", IMAGE)
    assert found.resources
    assert found.resources.uptime_seconds == 2.5 * 3600


@pytest.mark.parametrize(
    ("host", "label", "words"),
    [
        ("", {}, "built here on debian:trixie-slim"),
        ("ada@box", {}, "built there on debian:trixie-slim"),
        (
            "ada@box",
            {image_build.SENT: "true"},
            "built elsewhere on debian:trixie-slim, and sent",
        ),
    ],
)
def test_it_says_where_its_image_was_built(host: str, label: dict[str, str], words: str):
    facts = container()
    facts["Config"]["Labels"] |= label
    lines = status_rows.plain(replace(described(facts), host=host)).splitlines()
    assert words in [line.strip() for line in lines]


def test_a_full_disk_is_said():
    full = described(inside=replace(WELL, disk_free_bytes=7 * 2**20))
    assert "full: 7 MiB left" in status_rows.plain(full)
    enough = described(inside=replace(WELL, disk_free_bytes=3 * 2**30))
    assert "3.0 GiB left" in status_rows.plain(enough)
    assert "Disk" not in status_rows.plain(described())


def test_a_stopped_one_ends_with_3_and_says_since_when():
    found = described(container(state=STOPPED), Inside())
    assert (found.health, found.exit_code) == ("none", 3)
    assert found.reason == "ended with exit code 1 at 2026-01-31T11:00:00Z"
    assert found.users is None
    assert found.versions.opencode == "1.18.33", "the image's label says it too"
    assert found.resources
    assert found.resources.uptime_seconds is None


@pytest.mark.parametrize(
    ("state", "inside", "reason"),
    [
        ({}, Inside(health=health.Health(False, "it is starting")), "it is starting"),
        ({}, Inside(), "it could not be asked"),
        ({"Status": "paused", "Paused": True}, Inside(), "the container is paused"),
        ({"Status": "restarting", "Restarting": True}, Inside(), "the container is restarting"),
    ],
)
def test_one_that_runs_and_is_not_well_ends_with_4_and_says_why(
    state: dict[str, Any], inside: Inside, reason: str
):
    found = described(container(state=state), inside)
    assert (found.exit_code, found.reason) == (4, reason)


def test_one_that_ran_out_of_memory_says_so():
    found = described(container(state=STOPPED | {"OOMKilled": True}), Inside())
    assert "out of memory" in found.reason


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"port": "5000", "bind_address": "::1"},
        {"bind_address": "0.0.0.0", "allow_network_exposure": "true"},
        {"bind_address": "::", "allow_network_exposure": "true"},
        {"tls": "internal", "hostnames": "box.example.org"},
        {"tls": "opencode.example.org", "port": "443"},
        {"tls": "opencode.example.org", "port": "8443"},
        {"tls": "sslip", "public_address": "203.0.113.7", "port": "443"},
        {"tls": "sslip", "public_address": "2001:db8::7", "port": "443"},
        CLOUD | BALANCED,
        CLOUD | BALANCED | {"port": "8443"},
    ],
)
def test_the_url_is_the_one_that_the_settings_give(settings: dict[str, str]):
    given = load({"image_source": "build"} | settings, "local")
    spec = container_spec(given, "local")
    bindings = {
        f"{port.container}/tcp": [{"HostIp": port.address, "HostPort": str(port.host)}]
        for port in spec.ports
    }
    environment = tuple(f"{name}={value}" for name, value in spec.environment.items())
    facts = container(environment=environment, host={"PortBindings": bindings})
    facts["Config"]["Labels"] |= spec.labels
    found = deployment(facts)
    assert found.url == given.url
    assert found.tls == given.tls


def test_a_deployment_is_found_by_the_label_that_its_specification_writes():
    assert stack_label("x") == {deployments.LABEL: "x"}
    assert container_spec(load({"image_source": "build"}, "x"), "x").name == "opencode-x"


def test_another_container_of_that_name_is_not_taken_for_a_deployment():
    facts = container()
    facts["Config"]["Labels"] = {}
    with pytest.raises(NoDeploymentError, match="docker rename opencode-local OTHER"):
        deployments.find("local", FakeEngine({"/containers/opencode-local/json": facts}))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([], "on this Docker host. To make it: ./start"),
        (["locl"], "Did you mean --host locl?"),
        (["prod", "second"], "There is prod, second: choose by --host NAME."),
    ],
)
def test_a_missing_deployment_is_told_with_those_that_there_are(known: list[str], said: str):
    engine = FakeEngine(
        {
            "/containers/opencode-local/json": EngineError("no such container", 404),
            "/containers/json": [{"Labels": {deployments.LABEL: name}} for name in known],
        }
    )
    with pytest.raises(NoDeploymentError) as caught:
        deployments.find("local", engine)
    assert said in str(caught.value)


def test_the_docker_host_is_the_stack_files_and_a_socket(tmp_path: Path):
    (tmp_path / "stacks").mkdir()
    file = tmp_path / "stacks/Pulumi.two.yaml"
    file.write_text("config:\n  opencode:docker_host: unix:///run/other.sock\n")
    assert deployments.engine_of("two", tmp_path).socket_path == "/run/other.sock"
    assert deployments.engine_of("one", tmp_path).socket_path == "/var/run/docker.sock"
    file.write_text("config:\n  opencode:docker_host: npipe:////./pipe/docker\n")
    with pytest.raises(Exception, match="no Unix socket"):
        deployments.engine_of("two", tmp_path)


def test_what_cannot_be_found_out_leaves_the_rest():
    def fails() -> None:
        raise EngineError("no")

    assert together({"one": lambda: 1, "two": fails}) == {"one": 1, "two": None}


def test_memory_is_counted_without_what_could_be_forgotten():
    assert memory_used("10\nanon 5\ninactive_file 4\n") == 6
    assert memory_used("10\ninactive_file 4\ntotal_inactive_file 3\n") == 7
    assert memory_used("cat: memory.stat: No such file or directory\n") is None
    assert memory_used("") is None


EXPOSED = Inside(
    health=WELL.health,
    users=[],
    certificate=Certificate(
        issuer="internal", fingerprint_sha256="AA:BB", not_after=1800000000, last_error="refused"
    ),
)


def exposed() -> Status:
    host = {
        "PortBindings": {"8443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "443"}]},
        "Privileged": True,
        "SecurityOpt": None,
        "CapDrop": None,
    }
    return described(container(environment=("OPENCODE_CLOUD_TLS=internal",), host=host), EXPOSED)


def test_what_is_dangerous_is_said():
    shown = status_rows.plain(exposed())
    for words in (
        "0.0.0.0:443, by other machines too",
        "certificate of internal until 2027-01-15",
        "SHA-256 AA:BB",
        "refused",
        "none: nobody can sign in",
        "privileged",
        "the engine's own and",
    ):
        assert words in shown


UNIT = ServiceUnit(
    mode="user",
    file="/home/ada/.config/systemd/user/opencode-cloud-service-local.service",
    enabled=True,
    state="active",
    restarts=0,
    linger=True,
    gave_up=False,
)
GAVE_UP = replace(UNIT, state="failed", restarts=3, gave_up=True)


def with_unit(unit: ServiceUnit, state: dict[str, Any] | None = None) -> Status:
    facts = container(state=state, host={"RestartPolicy": {"Name": "no"}})
    inside = Inside() if state else WELL
    return describe(deployment(facts), NOW, Found(inside=inside, unit=unit))


def test_a_unit_is_shown_with_what_it_does_and_where_it_is():
    text = status_rows.plain(with_unit(UNIT))
    assert "At boot     started by its unit (user)" in text
    assert "Unit        active, enabled, linger on" in text
    assert UNIT.file in text


def test_a_unit_that_gave_up_says_so_and_how_to_go_on():
    found = with_unit(GAVE_UP, STOPPED)
    assert found.reason == "it ended too often in a row, and its unit gave up"
    assert found.exit_code == 3
    text = status_rows.plain(found)
    assert "Unit        failed, enabled, linger on, 3 restarts" in text
    assert "it goes on by: occ start" in text


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        (replace(UNIT, enabled=False, state="inactive"), "it was stopped by hand"),
        (replace(UNIT, linger=False), "its unit waits for its user to sign in"),
    ],
)
def test_a_unit_that_does_not_start_at_boot_says_why(unit: ServiceUnit, why: str):
    found = with_unit(unit)
    assert found.boot
    assert not found.boot.starts_at_boot
    assert f"At boot     not started: {why}" in status_rows.plain(found)


@pytest.mark.parametrize(
    "found",
    [
        described(),
        exposed(),
        missing("local", "There is none."),
        described(container(state=STOPPED), Inside()),
        with_unit(GAVE_UP, STOPPED),
    ],
    ids=["healthy", "exposed", "missing", "stopped", "unit"],
)
def test_every_state_can_be_shown_and_is_json_as_documented(found: Status, root: Path):
    schema = json.loads((root / "schemas/status.schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(found.as_json())), schema)
    narrow = Console(width=40)
    with narrow.capture() as drawn:
        narrow.print(status_panel.panel(found))
    assert max(len(line) for line in drawn.get().splitlines()) == 40
    assert all(len(line) > 12 for line in status_rows.plain(found).splitlines())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59, "59 s"), (60, "1 min"), (3660, "1 h 1 min"), (90000, "1 d 1 h")],
)
def test_durations_have_two_units(seconds: int, text: str):
    assert status_rows.duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"healthy": true, "version": "1.2.3"}', health.Health(True, version="1.2.3")),
        ('{"healthy": false, "reason": "starting"}', health.Health(False, reason="starting")),
        ("curl: (7) no\n", health.Health(False, reason="(7) no")),
        ("", health.Health(False, reason="the gateway is silent")),
        ("[]", health.Health(False, reason="[]")),
    ],
)
def test_health_is_what_was_answered(text: str, found: health.Health):
    assert health.read(text) == found
