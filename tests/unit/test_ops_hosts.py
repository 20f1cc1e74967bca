"""Hosts by their stacks' files, the default one, and ssh's complaints about one that is new."""

from pathlib import Path

import pytest

from opencode_cloud.cli import status_alone
from opencode_cloud.cli.options import Options
from opencode_cloud.ops import default_host
from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.hosts.registry import NoHostError, host_of, hosts, new_host
from opencode_cloud.ops.settings_file import StackFile
from opencode_cloud.ops.ssh import SshError, explained
from opencode_cloud.ops.stack_document import Document, StackConfigError
from opencode_cloud.spec.ssh import SshAddress, meeting

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPyZ0Cs0Yk2yI5yUj6VQ3Y4r1nqk1dRk2Ihn9mWcK0aB"
CHANGED = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\r"
BY_A_JUMP = "Host key verification failed.\r\nConnection closed by UNKNOWN port 65535\r"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENCODE_STACK", raising=False)
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    (stacks / "Pulumi.local.yaml").write_text("config:\n  opencode:image_source: build\n")
    (stacks / "Pulumi.box.yaml").write_text(
        "config:\n  opencode:target: ssh\n  opencode:ssh_host: ada@box\n  opencode:ssh_port: 22\n"
        f"  opencode:ssh_jump: gate\n  opencode:groups: lab,prod\n  opencode:ssh_host_key: {KEY}\n"
        "  opencode:docker_host: unix:///run/user/1000/docker.sock\n"
    )
    return tmp_path


def test_a_host_is_a_stack_that_says_so(checkout: Path):
    (found,) = hosts(checkout)
    assert (found.name, found.where, found.groups) == ("box", "ada@box:22 by gate", ["lab", "prod"])
    assert (found.socket, found.port) == ("/run/user/1000/docker.sock", 4096)


def test_a_mistyped_host_is_told_with_the_one_that_is_meant(checkout: Path):
    with pytest.raises(NoHostError, match="Did you mean box"):
        host_of(checkout, "bxo")
    with pytest.raises(NoHostError, match="To add one: occ host add second"):
        host_of(checkout, "second")


@pytest.mark.parametrize(
    ("name", "words"),
    [("box", "already"), ("local", "this machine's own"), ("A b", "cannot be a stack's name")],
)
def test_a_name_that_cannot_be_had_is_refused(checkout: Path, name: str, words: str):
    with pytest.raises(OperationError, match=words):
        new_host(checkout, name)


def test_commands_without_a_host_are_about_the_default_one(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
):
    assert default_host.read() == "local"
    assert occ("local", "stop") == "occ stop"
    default_host.write("box")
    assert status_alone.plain(["status"]) == Options(host="box")
    assert occ("local", "stop") == "occ --host local stop", "else it would stop box"
    assert status_alone.plain(["status", "--host", "x"]) == Options(host="x")
    monkeypatch.setenv("OPENCODE_STACK", "work")
    assert status_alone.plain(["status"]) == Options(host="work")
    default_host.forget("other")
    assert default_host.read() == "box"
    default_host.forget("box")
    assert default_host.read() == "local"


def test_a_new_stacks_file_is_whole_and_takes_nobodys_place(checkout: Path):
    file = StackFile(checkout, "new")
    file.create(Document(file.name, "config: {}\n"))
    assert file.path.read_text() == "config: {}\n"
    assert file.path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(StackConfigError, match="somebody else"):
        file.create(Document(file.name, "other"))
    assert file.path.read_text() == "config: {}\n"
    assert len(list(file.path.parent.iterdir())) == 3, "nothing unfinished is left"


def test_getting_to_know_a_host_offers_it_nothing(checkout: Path):
    address = SshAddress.of({"ssh_host": "ada@box", "ssh_jump": "gate"}, "box")
    words = meeting(address, Path("/k"))
    for wanted in ("PreferredAuthentications=none", "ControlPath=none", "UserKnownHostsFile=/k"):
        assert wanted in words
    assert "StrictHostKeyChecking=accept-new" in words
    assert words[words.index("-J") + 1] == "gate"
    assert words[-3:] == ("--", "ada@box", "true")


@pytest.mark.parametrize(
    ("said", "another", "passes"),
    [
        (CHANGED, True, False),
        (BY_A_JUMP, False, False),
        ("ssh: connect to host box port 22: Connection refused", False, True),
        ("ssh: connect to host box port 22: Connection timed out", False, True),
        ("Connection closed by 10.0.0.5 port 22", False, True),
        ("ssh: Could not resolve hostname box: Name or service not known", False, False),
        ("ada@box: Permission denied (publickey).", False, False),
        ("gate: Permission denied.\nConnection closed by UNKNOWN port 65535", False, False),
    ],
)
def test_only_what_passes_by_itself_is_waited_for(said: str, another: bool, passes: bool):
    error = SshError("words", said)
    assert (error.is_another_key, error.may_pass) == (another, passes)


def test_a_jump_hosts_key_is_not_taken_for_the_hosts_own():
    address = SshAddress.of({"ssh_host": "ada@box"}, "box")
    assert "somebody may be in between" in explained(address, CHANGED)
    assert "goes through another host" in explained(address, BY_A_JUMP)
