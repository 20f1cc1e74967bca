"""The machine of a cloud's stack, as this computer knows it, and how it is reached."""

import json
import subprocess
from pathlib import Path

import pytest

from opencode_cloud.ops import rented
from opencode_cloud.ops.docker_host import docker_host_of
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.machine_apply import fingerprint
from opencode_cloud.ops.program import Program
from opencode_cloud.ops.rented import Rented
from opencode_cloud.spec.ssh import SshFiles, options
from tests.unit.cli_parts import occ

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBpbyyZCPbSjoyKPKyA1TLr0E9yDmZVNQZPg7pXcMcxo"
MACHINE = Rented(machine="i-1", address="203.0.113.7", user="opencode", host_keys=(KEY,))
FILES = SshFiles(known_hosts=Path("/k"), control=Path("/c"), docker=Path("/d"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.prod.yaml").write_text("config:\n  opencode:target: aws\n")
    return tmp_path


def data(project: Path) -> Path:
    return project / "data" / "opencode-cloud"


def test_occ_reaches_the_machine_that_up_wrote_down(project: Path):
    rented.write(data(project), "prod", MACHINE)
    host = docker_host_of("prod", project)
    assert host.is_remote
    assert host.name == "opencode@203.0.113.7"
    assert host.ssh
    assert host.ssh.files.known_hosts.read_text() == f"opencode-cloud-prod {KEY}\n"


def test_what_others_have_made_is_taken_from_the_stacks_outputs_once(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def outputs(program: Program) -> dict[str, object]:
        asked.append(program.stack)
        return {
            "machine": "i-1",
            "address": "203.0.113.7",
            "user": "opencode",
            "hostKeys": [KEY],
        }

    monkeypatch.setattr(Program, "outputs", outputs)
    for _ in range(2):
        assert docker_host_of("prod", project).name == "opencode@203.0.113.7"
    assert asked == ["prod"]


def test_a_stack_without_a_machine_says_what_makes_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Program, "outputs", lambda _: {})
    with pytest.raises(OperationError, match="pulumi up -s prod"):
        docker_host_of("prod", project)


def test_a_stack_that_pulumi_has_not_seen_yet_says_what_makes_its_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    def outputs(_: Program) -> dict[str, object]:
        raise OperationError("pulumi stack failed:\n    error: no stack named 'prod' found")

    monkeypatch.setattr(Program, "outputs", outputs)
    with pytest.raises(OperationError, match="This makes it: pulumi up -s prod"):
        docker_host_of("prod", project)


def test_a_machine_is_not_made_or_removed_by_occ_but_by_pulumi(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("opencode_cloud.ops.project.folder", lambda: project)
    assert occ("--host", "prod", "setup", "--generate", "--yes") == 1
    assert "and Pulumi makes that: pulumi up -s prod" in capsys.readouterr().err
    assert occ("--host", "prod", "uninstall", "--yes") == 1
    assert "pulumi destroy -s prod --exclude-protected" in capsys.readouterr().err


def test_what_is_written_is_read_again(tmp_path: Path):
    assert rented.read(tmp_path, "prod") is None
    rented.write(tmp_path, "prod", MACHINE)
    assert rented.read(tmp_path, "prod") == MACHINE
    assert "host_keys" in json.loads(rented.record(tmp_path, "prod").read_text())


def test_keys_are_read_from_hashed_and_plain_lines():
    text = f"|1|c2FsdA==|aGFzaA== {KEY}\n# a comment\nopencode-cloud-prod {KEY} a comment\n\n"
    assert rented.keys_in(text) == (KEY,)


def test_a_new_machine_is_believed_once_and_a_known_one_only_by_its_keys():
    known = MACHINE.ssh("prod", {})
    assert "StrictHostKeyChecking=yes" in options(known, FILES)
    from dataclasses import replace

    new = replace(known, host_keys=(), learns=True)
    assert "StrictHostKeyChecking=accept-new" in options(new, FILES)


def test_the_settings_say_how_the_machine_is_reached(project: Path):
    address = MACHINE.ssh("prod", {"ssh_identity_file": "/k/id", "ssh_jump": "bastion"})
    assert address.command == "ssh -i /k/id -o IdentitiesOnly=yes -J bastion opencode@203.0.113.7"


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path):
    file = tmp_path / "key.pub"
    file.write_text(f"{KEY}\n")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert fingerprint(KEY) == f"{shown.split()[1]} (ssh-ed25519)"


def test_an_image_is_not_made_for_a_machine_that_is_not_there_yet(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    from opencode_cloud.start.paths import Paths

    program = Program(Paths.of(project, {"HOME": str(project)}), "prod")
    monkeypatch.setattr(Program, "outputs", lambda _: {})
    with pytest.raises(OperationError, match="has no machine yet"):
        program.image(lambda _: None)  # type: ignore[arg-type]
