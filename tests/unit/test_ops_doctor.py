import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from opencode_cloud.ops import doctor, doctor_facts
from opencode_cloud.ops.boot import Boot
from opencode_cloud.ops.doctor_checks import deployment, docker, machine, pulumi, settings
from opencode_cloud.ops.doctor_checks.deployment import Deployed
from opencode_cloud.ops.doctor_checks.docker import Docker
from opencode_cloud.ops.doctor_checks.finding import Finding, ok
from opencode_cloud.ops.doctor_checks.machine import Disk, Machine
from opencode_cloud.ops.doctor_checks.pulumi import Lock, Packages, Passphrase, State
from opencode_cloud.ops.doctor_checks.settings import SettingsFile, Wrong
from opencode_cloud.ops.drift import Difference, Drift
from opencode_cloud.ops.errors import EngineError
from opencode_cloud.ops.ports import PortProblem
from opencode_cloud.ops.service_unit import ServiceUnit
from opencode_cloud.ops.status import Certificate, Mount, Resources, Security, Status, Versions
from opencode_cloud.ops.users import User
from opencode_cloud.start.paths import Paths
from tests.unit.cli_parts import FakeEngine, occ

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GIB = 2**30
TAKEN = PortProblem("127.0.0.1", 4096, "nc (process 9)", "kill 9", 4097)


def said(findings: Iterable[Finding] | Finding) -> list[tuple[str, str]]:
    """Names and outcomes of what is not well; all of it says why and how to mend it."""
    found = [findings] if isinstance(findings, Finding) else list(findings)
    assert found
    for each in found:
        assert each.what
        if each.outcome in ("warning", "problem"):
            assert each.mend, each
    return [(each.check, each.outcome) for each in found if each.outcome != "ok"]


MACHINE = Machine(
    system="Linux",
    name="Debian",
    now=NOW,
    built=NOW - timedelta(days=9),
    data=Disk(name="data", path="/data", free=50 * GIB, inodes=10**6, clean="du"),
    memory=8 * GIB,
    memory_available=4 * GIB,
)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"system": "Windows"}, [("machine.system", "problem")]),
        ({"memory": GIB}, [("machine.memory", "warning")]),
        ({"memory_available": 2**20}, [("machine.memory", "warning")]),
        ({"memory": None}, []),
        ({"built": NOW + timedelta(days=30)}, [("machine.clock", "problem")]),
        ({"data": None}, []),
    ],
)
def test_a_machine_is_judged_by_what_it_has(change: dict[str, Any], found: list[tuple[str, str]]):
    assert said(machine.check(replace(MACHINE, **change), 2 * GIB)) == found


@pytest.mark.parametrize(
    ("free", "inodes", "outcome"),
    [
        (50 * GIB, None, "ok"),
        (2 * GIB, 10**6, "warning"),
        (GIB // 4, 10**6, "problem"),
        (50 * GIB, 12, "problem"),
    ],
)
def test_a_disk_is_judged_by_the_room_that_is_left(free: int, inodes: int | None, outcome: str):
    disk = Disk(name="docker", path="/x", free=free, inodes=inodes, clean="docker image prune")
    assert machine.room(disk).outcome == outcome


WELL = {"ServerVersion": "20.10.24+dfsg1", "Driver": "overlay2", "MemoryLimit": True}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"ServerVersion": "19.03.5"}, [("docker.version", "problem")]),
        ({"ServerVersion": ""}, [("docker.version", "problem")]),
        ({"Driver": "vfs"}, [("docker.storage", "warning")]),
        ({"MemoryLimit": False, "PidsLimit": False}, [("docker.limits", "warning")]),
    ],
)
def test_docker_is_judged_by_what_it_says(change: dict[str, Any], found: list[tuple[str, str]]):
    assert said(docker.check(Docker(socket="/x", info=WELL | change))) == found


def test_a_docker_that_does_not_answer_is_one_problem_and_the_rest_is_not_seen():
    silent = Docker(socket="/x", failure="No Docker engine answers at /x (gone). Start it (now)")
    found = list(docker.check(silent))
    assert (found[0].what, found[0].mend) == (
        "No Docker engine answers at /x (gone)",
        "Start it (now)",
    )
    assert {each.outcome for each in found[1:]} == {"skipped"}


def test_clocks_that_are_apart_are_told():
    assert docker.clock(NOW, NOW + timedelta(seconds=5)).outcome == "ok"
    assert docker.clock(NOW, NOW + timedelta(minutes=5)).outcome == "warning"


OURS = State(backend="file:///s", own=True, stack_is_there=True)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (OURS, []),
        (State(backend="s3://x", own=False), [("pulumi.state", "skipped")]),
        (replace(OURS, stack_is_there=False), [("pulumi.state", "warning")]),
        (replace(OURS, readable="it is not what Pulumi writes"), [("pulumi.state", "problem")]),
        (replace(OURS, pending=("creating urn",)), [("pulumi.pending", "problem")]),
        (replace(OURS, locks=(Lock(process=1, alive=True),)), []),
        (replace(OURS, locks=(Lock(process=1, alive=False),)), [("pulumi.lock", "problem")]),
        (replace(OURS, changing="occ start (process 7)"), []),
    ],
)
def test_a_state_is_judged_by_what_is_unfinished(state: State, found: list[tuple[str, str]]):
    assert said(pulumi.state(state, "local", "./start")) == found


PASSPHRASE = Passphrase(path="/p", there=True, opens=True)


@pytest.mark.parametrize(
    ("passphrase", "outcome"),
    [
        (PASSPHRASE, "ok"),
        (replace(PASSPHRASE, opens=None), "ok"),
        (replace(PASSPHRASE, there=False), "problem"),
        (replace(PASSPHRASE, there=False, needed=False), "skipped"),
        (replace(PASSPHRASE, mode=0o644), "problem"),
        (replace(PASSPHRASE, mode=0o644, own=False), "ok"),
        (replace(PASSPHRASE, opens=False), "problem"),
        (replace(PASSPHRASE, salts_agree=False), "warning"),
    ],
)
def test_a_passphrase_is_judged_by_what_it_opens_and_who_reads_it(
    passphrase: Passphrase, outcome: str
):
    found = list(pulumi.passphrase(passphrase))
    said(found)
    assert [each.outcome for each in found] == [outcome]


def test_engine_and_packages_are_there_or_told():
    assert said(pulumi.engine("3.232.0", "", "./start")) == []
    assert said(pulumi.engine("", "no pulumi on PATH", "./start")) == [("pulumi.engine", "problem")]
    assert said(pulumi.packages(Packages(folder=".venv", there=True), "./start")) == []
    for packages in (
        Packages(folder=".venv", there=False),
        Packages(folder=".venv", there=True, wrong=("rich 1 (wanted 2)",) * 9),
    ):
        assert said(pulumi.packages(packages, "./start")) == [("pulumi.packages", "problem")]


@pytest.mark.parametrize(
    ("file", "outcomes"),
    [
        (SettingsFile(path="f", there=True), ["ok"]),
        (SettingsFile(path="f", there=False), ["skipped"]),
        (SettingsFile(path="f", there=True, unreadable="line 3\nis wrong"), ["problem"]),
        (
            SettingsFile(path="f", there=True, wrong=[Wrong("a", "b"), Wrong("c", "d")]),
            ["problem"] * 2,
        ),
    ],
)
def test_each_wrong_setting_is_a_problem_of_its_own(file: SettingsFile, outcomes: list[str]):
    found = list(settings.check(file, "occ config edit"))
    said(found)
    assert [each.outcome for each in found] == outcomes


SECURITY = Security(
    bind_address="127.0.0.1",
    port=4096,
    exposed=False,
    tls="off",
    certificate=None,
    capabilities=[],
    all_capabilities_dropped=True,
    no_new_privileges=True,
    privileged=False,
)
STATUS = Status(
    stack="local",
    state="running",
    health="healthy",
    container="opencode-local",
    versions=Versions(),
    users=[User("ada", enabled=True)],
    mounts=[Mount(kind="volume", source="v", path="/v", writable=True)],
    security=SECURITY,
    drift=Drift(state="applied"),
    boot=Boot(restart_policy="unless-stopped", starts_at_boot=True, docker_enabled=None),
    resources=Resources(memory_bytes=1, memory_limit_bytes=2, cpus=0, restarts=0, uptime_seconds=3),
)
DEPLOYED = Deployed(status=STATUS, connects=True, own_volumes=("v",), errors=0)
CERTIFICATE = Certificate(
    issuer="acme", fingerprint_sha256="", not_after=int(NOW.timestamp()), last_error=""
)


def with_status(**changes: Any) -> Deployed:
    return replace(DEPLOYED, status=replace(STATUS, **changes))


def secured(**changes: Any) -> Deployed:
    return with_status(security=replace(SECURITY, **changes))


def certified(days: int, error: str = "") -> Deployed:
    until = int((NOW + timedelta(days=days)).timestamp())
    certificate = replace(CERTIFICATE, not_after=until, last_error=error)
    return secured(exposed=True, tls="a.example.org", certificate=certificate)


UNIT = ServiceUnit(
    mode="user",
    file="/unit",
    enabled=True,
    state="active",
    restarts=0,
    linger=True,
    gave_up=False,
)


def with_units(*units: ServiceUnit, policy: str = "no") -> Deployed:
    unit = units[0] if policy == "no" else None
    back = unit.starts_at_boot if unit else True
    found = Boot(restart_policy=policy, starts_at_boot=back, docker_enabled=None, unit=unit)
    return replace(with_status(boot=found), units=units)


CHANGED = Drift(state="changed", differences=[Difference(name="port", settings="1", container="2")])


@pytest.mark.parametrize(
    ("deployed", "found"),
    [
        (DEPLOYED, {}),
        (
            with_status(state="exited", health="none", users=None, boot=None),
            {"container": "problem", "health": "skipped", "users": "skipped"},
        ),
        (
            with_status(state="exited", health="none", reason="it ran out of memory", boot=None),
            {"container": "problem", "health": "skipped", "restarts": "problem"},
        ),
        (with_status(health="unhealthy", reason="silent"), {"health": "problem"}),
        (
            with_status(resources=replace(STATUS.resources or 0, restarts=9)),  # type: ignore[type-var]
            {"restarts": "warning"},
        ),
        (replace(DEPLOYED, image_is_there=False), {"image": "warning"}),
        (with_status(drift=CHANGED), {"settings": "warning"}),
        (with_status(drift=Drift(state="unknown", reason="a\nb")), {"settings": "skipped"}),
        (replace(DEPLOYED, connects=False), {"port": "problem"}),
        (replace(DEPLOYED, port_problem=TAKEN), {"port": "problem"}),
        (secured(port=0), {"port": "skipped"}),
        (
            with_status(boot=Boot(restart_policy="no", starts_at_boot=False, docker_enabled=None)),
            {"boot": "warning"},
        ),
        (
            with_status(
                boot=Boot(restart_policy="always", starts_at_boot=False, docker_enabled=False)
            ),
            {"boot": "warning"},
        ),
        (with_units(UNIT), {}),
        (with_units(UNIT, policy="unless-stopped"), {"unit": "problem"}),
        (with_units(UNIT, replace(UNIT, mode="system")), {"unit": "problem"}),
        (with_units(replace(UNIT, state="failed", gave_up=True)), {"unit": "problem"}),
        (with_units(replace(UNIT, linger=False)), {"boot": "warning", "unit": "warning"}),
        (with_units(replace(UNIT, enabled=False, state="inactive")), {"boot": "warning"}),
        (secured(exposed=True), {"exposure": "warning"}),
        (secured(exposed=True, tls="internal"), {}),
        (secured(privileged=True), {"rights": "problem"}),
        (secured(all_capabilities_dropped=False), {"rights": "problem"}),
        (secured(no_new_privileges=False), {"rights": "problem"}),
        (certified(90), {}),
        (certified(3), {"certificate": "warning"}),
        (certified(90, "refused"), {"certificate": "warning"}),
        (certified(-1, "refused"), {"certificate": "problem"}),
        (with_status(users=[]), {"users": "problem"}),
        (with_status(users=[User("ada", enabled=False)]), {"users": "problem"}),
        (with_status(mounts=[]), {"volumes": "problem"}),
        (replace(DEPLOYED, own_volumes=()), {"volumes": "warning"}),
        (replace(DEPLOYED, missing_folders=("/gone",)), {"mounts": "problem"}),
        (replace(DEPLOYED, errors=3), {"logs": "warning"}),
        (replace(DEPLOYED, errors=None), {"logs": "skipped"}),
    ],
)
def test_a_deployment_is_judged_by_what_is_seen_of_it(deployed: Deployed, found: dict[str, str]):
    shown = said(deployment.check(deployed, NOW))
    assert {check.removeprefix("deployment."): outcome for check, outcome in shown} == found


def test_nobody_and_nothing_keeps_the_doctor_waiting(monkeypatch: pytest.MonkeyPatch):
    def fails() -> list[Finding]:
        raise EngineError("no\nmore")

    def mistakes() -> list[Finding]:
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "SECONDS", 0.3)
    looks: dict[str, Callable[[], list[Finding]]] = {
        "docker.socket": lambda: time.sleep(3) or [],
        "deployment.all": lambda: time.sleep(3) or [],
        "machine.all": lambda: [ok("machine.clock", "well")],
        "pulumi.engine": fails,
        "pulumi.state": mistakes,
    }
    began = time.monotonic()
    found = doctor._at_once(looks)
    assert time.monotonic() - began < 2
    assert {each.check: each.outcome for each in found} == {
        "docker.socket": "problem",
        "deployment.all": "skipped",
        "machine.clock": "ok",
        "pulumi.engine": "skipped",
        "pulumi.state": "problem",
    }
    assert "ZeroDivisionError" in str(found)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A checkout with one stack, and the user's data; nothing of it is wrong."""
    for variable in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE", "OPENCODE_STACK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    socket = str(tmp_path / "none.sock")
    monkeypatch.setattr("opencode_cloud.ops.docker_host.DEFAULT_SOCKET", socket)
    monkeypatch.setattr("opencode_cloud.ops.project.folder", lambda: tmp_path)
    (tmp_path / "stacks").mkdir()
    found = Paths.of(tmp_path, {"XDG_DATA_HOME": str(tmp_path / "share")})
    (found.state / ".pulumi/stacks/opencode").mkdir(parents=True)
    return found


def test_what_is_on_the_disk_is_read(paths: Paths):
    checkpoint = paths.state / ".pulumi/stacks/opencode/local.json"
    pending = [{"type": "creating", "resource": {"urn": "urn:x"}}]
    checkpoint.write_text(json.dumps({"checkpoint": {"latest": {"pending_operations": pending}}}))
    lock = paths.state / ".pulumi/locks/organization/opencode/local/1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": 2**22 + 1, "hostname": os.uname().nodename}))
    found = doctor_facts.state(paths, "local")
    assert found.pending == ("creating urn:x",)
    assert found.locks == (Lock(process=2**22 + 1, alive=False),)
    checkpoint.write_text("[]")
    assert doctor_facts.state(paths, "local").readable == "it is not what Pulumi writes"
    assert not doctor_facts.state(paths, "other").stack_is_there
    assert not doctor_facts.passphrase(paths, "local").there


def test_an_address_of_a_backend_is_shown_without_its_credentials(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PULUMI_BACKEND_URL", "postgres://me:hush@db/state?password=hush")
    assert doctor_facts.state(paths, "local").backend == "postgres://db/state"


def test_a_lock_file_is_compared_with_what_is_installed(paths: Paths):
    assert doctor_facts.packages(paths, installed=False) is None
    paths.requirements.write_text("a-b==1.0 \\\n    --hash=x\nc==2 ; sys_platform == 'win32' \\\n")
    assert doctor_facts.packages(paths, installed=False) == Packages(
        folder=str(paths.venv), there=False
    )
    site = paths.venv / "lib/python3.11/site-packages"
    (site / "a_b-0.9.dist-info").mkdir(parents=True)
    (site / "a_b-0.9.dist-info/METADATA").write_text("Name: A.B\nVersion: 0.9\n")
    paths.python.parent.mkdir()
    paths.python.touch()
    found = doctor_facts.packages(paths, installed=False)
    assert found
    assert found.wrong == ("a-b 0.9 (wanted 1.0)",)
    chosen = doctor_facts.packages(paths, installed=True)
    assert chosen
    assert chosen.wrong == (), "an installer may choose others than the lock"


def test_without_docker_settings_and_state_it_says_what_it_could_not_see(
    paths: Paths, capsys: pytest.CaptureFixture[str], root: Path
):
    assert occ("doctor") == 1
    shown = capsys.readouterr()
    assert "PROBLEM  socket: No Docker engine answers" in shown.out
    assert "To mend it: Start it (sudo systemctl start docker" in shown.out
    assert "Deployment" in shown.out
    assert "not looked at" in shown.out
    assert shown.err == ""
    assert occ("doctor", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, json.loads((root / "schemas/doctor.schema.json").read_text()))
    assert occ("doctor", "--quiet") == 1
    assert " ok " not in capsys.readouterr().out


def test_a_stack_file_that_cannot_be_used_is_told_setting_by_setting(
    paths: Paths, capsys: pytest.CaptureFixture[str]
):
    paths.stack_file("local").write_text(
        "config:\n  opencode:image_source: build\n  opencode:port: many\n  opencode:colour: red\n"
    )
    assert occ("doctor") == 1
    shown = capsys.readouterr().out
    assert "port = 'many' should be a valid integer" in shown
    assert "colour = 'red' is not a setting" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"config:\n  opencode:docker_host: npipe:////./pipe/docker\n", "which is no Unix socket"),
        (b"config:\n  opencode:port: \xff\xfe\n", "is not UTF-8 text"),
        (b"config: [\n", "PROBLEM  file:"),
    ],
)
def test_no_stack_file_is_too_broken_for_it(
    text: bytes, said: str, paths: Paths, capsys: pytest.CaptureFixture[str]
):
    paths.stack_file("local").write_bytes(text)
    assert occ("doctor") == 1
    shown = capsys.readouterr()
    assert said in " ".join(shown.out.split()) or said in shown.out
    assert "mistake" not in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("name", ["../x", "A", ""])
def test_what_cannot_be_a_stack_is_refused(
    name: str, paths: Paths, capsys: pytest.CaptureFixture[str]
):
    assert occ("doctor", "--host", name) == 1
    assert "cannot be a stack's name" in capsys.readouterr().err


def test_a_deployment_that_is_not_there_is_a_problem_with_a_way_out(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
):
    engine = FakeEngine(
        {
            "/containers/opencode-local/json": EngineError("no such container", 404),
            "/containers/json": [],
        }
    )
    monkeypatch.setattr(doctor.Subject, "engine", engine)
    subject = doctor.Subject(stack="local", paths=paths, trace=print, now=NOW)
    (found,) = doctor._deployment(subject)
    assert (found.outcome, found.mend) == ("problem", "./start")
    assert "To make it" not in found.what
