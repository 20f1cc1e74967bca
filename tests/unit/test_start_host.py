"""The steps of a deployment on a host over SSH: what is asked there, and what stays here."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from opencode_cloud.configuration import load
from opencode_cloud.ops import project
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.host import Host
from opencode_cloud.ops.shells import Done
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.ssh import SshAddress, SshFiles
from opencode_cloud.start import preflight
from opencode_cloud.start.errors import StartError, UsageError
from opencode_cloud.start.plan import Context
from opencode_cloud.start.process import NOT_FOUND, Answer, CommandError
from opencode_cloud.start.steps import all_steps
from opencode_cloud.start.steps.base_image import LOCAL_BASE, BaseImage
from opencode_cloud.start.steps.docker_engine import DockerEngine
from opencode_cloud.start.steps.first_user import FirstUser
from opencode_cloud.start.steps.health import Health
from opencode_cloud.start.steps.host_docker import HostDocker
from opencode_cloud.start.steps.stack import Stack
from tests.unit.probe_parts import TEXT
from tests.unit.start_parts import ROOT, Notes, RecordingRunner, context, ok, runner_of

FILES = SshFiles(known_hosts=Path("/k"), control=Path("/c"), docker=Path("/d"))
ADDRESS = SshAddress(stack="box", host="box", user="ada")


@dataclass(frozen=True)
class Box(Ssh):
    """A host to which no way is opened."""

    said: str = ""

    def docker_socket(self, remote: str) -> Path:
        return Path(f"/way/to{remote}")

    def run(self, script: str, **_: object) -> Done:
        assert script
        return Done(0, self.said, "")


BOX = DockerHost("box", "/var/run/docker.sock", Box(ADDRESS, FILES))


def remote(folder: Path, answers: dict[tuple[str, ...], Answer] | None = None) -> Context:
    """A context whose deployment is on a host; `answers` are by the words for its docker."""
    known = {BOX.docker(*words): answer for words, answer in (answers or {}).items()}
    made = context(folder, RecordingRunner(answers=known), stack="box")
    made.host = BOX
    return made


VERSION = ("version", "--format", "{{.Server.Version}}")


def test_the_hosts_engine_is_asked_and_none_is_brought_here(tmp_path: Path):
    asked = remote(tmp_path, {VERSION: ok("26.1.5")})
    steps = all_steps(asked)
    assert not any(isinstance(step, DockerEngine) for step in steps)
    (step,) = [step for step in steps if isinstance(step, HostDocker)]
    assert step.is_done() == "version 26.1.5 of ada@box"
    assert asked.docker_host == "unix:///way/to/var/run/docker.sock"
    assert step.obstacle() == ""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(1, "", "permission denied while trying"), "sudo usermod -aG docker $USER"),
        (Answer(NOT_FOUND, "", "sh: docker: not found"), "sudo apt-get install -y docker.io"),
        (Answer(1, "", "Cannot connect"), "sudo systemctl enable --now docker"),
    ],
)
def test_what_is_wrong_with_the_hosts_docker_is_said_and_not_mended(
    tmp_path: Path, answer: Answer, words: str
):
    asked = remote(tmp_path, {VERSION: answer})
    step = HostDocker(asked, BOX)
    assert step.is_done() == ""
    assert words in step.obstacle()
    assert "ada@box" in step.obstacle()
    assert step.plan() == []
    with pytest.raises(StartError, match="ada@box"):
        step.run(Notes())
    assert runner_of(asked).ran == []


def test_a_host_without_a_base_is_told_how_to_get_one_and_none_is_made_here(tmp_path: Path):
    asked = remote(tmp_path)
    (asked.paths.root / "docker").mkdir()
    (asked.paths.root / "docker" / "Dockerfile").write_text("ARG BASE_IMAGE=debian@sha256:0\n")

    def refuse(_: tuple[str, ...]) -> None:
        raise CommandError("docker pull failed (status 1):", ["no such host"])

    runner_of(asked).on_run = refuse
    step = BaseImage(asked)
    assert step.is_done() == ""
    with pytest.raises(CommandError) as caught:
        step.run(Notes())
    assert "ada@box has no image to build on" in str(caught.value)
    assert f"docker save {LOCAL_BASE} | ssh ada@box docker load" in str(caught.value)
    assert runner_of(asked).ran == [BOX.docker("pull", "debian@sha256:0")]
    assert asked.extra_ca == ""


def test_an_image_that_is_built_here_and_sent_gets_its_base_here(tmp_path: Path):
    asked = remote(tmp_path)
    asked.paths.stack_file("box").write_text("config:\n  opencode:image_built_on: here\n")
    (asked.paths.root / "docker").mkdir()
    (asked.paths.root / "docker" / "Dockerfile").write_text("ARG BASE_IMAGE=debian@sha256:0\n")
    step = BaseImage(asked)
    assert step.is_done() == ""
    step.run(Notes())
    assert runner_of(asked).ran == [("docker", "pull", "debian@sha256:0")]


def test_the_way_to_a_host_is_no_setting(tmp_path: Path):
    asked = remote(tmp_path)
    asked.docker_host = "unix:///way/to/var/run/docker.sock"
    assert "docker_host" not in Stack(asked)._changes().to_set


def test_authorities_that_a_remote_stack_names_stay(tmp_path: Path):
    asked = remote(tmp_path)
    own = str(asked.paths.extra_ca)
    asked.paths.stack_file("box").write_text(f"config:\n  opencode:extra_ca_file: {own}\n")
    assert Stack(asked)._changes().to_remove == []


def test_the_password_goes_to_the_host_on_standard_input(tmp_path: Path):
    asked = remote(tmp_path)
    asked.password = "correct horse battery"
    FirstUser(asked).run(Notes())
    runner = runner_of(asked)
    (ran,) = runner.ran
    assert ran == BOX.docker("exec", "-i", "opencode-box", "opencode-user", "add", "admin")
    assert runner.stdin == ["correct horse battery\n"]


def test_health_is_asked_inside_as_the_hosts_loopback_is_not_ours(tmp_path: Path):
    check = ("exec", "opencode-box", "/usr/lib/opencode-cloud/healthcheck")
    asked = remote(tmp_path, {check: ok()})
    asked.outputs = {"url": "http://127.0.0.1:1"}
    assert Health(asked).is_done() == "http://127.0.0.1:1"


def test_start_sends_one_to_setup_for_a_stack_on_a_host(tmp_path: Path):
    asked = context(tmp_path, stack="box")
    asked.paths.stack_file("box").write_text(
        "config:\n  opencode:target: ssh\n  opencode:ssh_host: ada@box\n"
    )
    with pytest.raises(UsageError, match=r"is on ada@box: \./occ --host box setup"):
        preflight.check_target(asked)
    preflight.check_target(context(tmp_path, stack="box", print_env=True))
    rents = context(tmp_path, stack="prod")
    rents.paths.stack_file("prod").write_text("config:\n  opencode:target: aws\n")
    with pytest.raises(UsageError, match=r"pulumi up -s prod\. docs/deploy/aws\.md"):
        preflight.check_target(rents)
    preflight.check_target(context(tmp_path, stack="other"))


def test_the_command_that_makes_a_deployment_on_a_host_is_occ_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.box.yaml").write_text("config:\n  opencode:target: ssh\n")
    monkeypatch.setattr(project, "folder", lambda: tmp_path)
    assert project.setup_command("box") == "occ --host box setup"
    assert project.setup_command("second") == "./start --stack second"


def test_a_host_that_lacks_room_or_memory_is_known_before_anything_is_done(tmp_path: Path):
    small = TEXT.replace("memory-kib 8000000", "memory-kib 1048576")
    settings = load({"image_source": "build", "memory_mb": "2048"}, "box")
    for free, outcomes in (("100", ["warning", "problem"]), ("99000000", ["warning"])):
        asked = remote(tmp_path)
        box = Box(ADDRESS, FILES, small.replace("40000000", free))
        asked.host = DockerHost("box", "/var/run/docker.sock", box)
        host = Host(asked, None)
        assert host.name == "ada@box (remote)"
        assert [found.outcome for found in host.shortages(settings)] == outcomes
    here = Host(context(tmp_path), None)
    assert here.name == "this machine"
    assert list(here.shortages(settings)) == []


def test_the_repositorys_own_stack_is_on_this_machine():
    assert project.folder() == ROOT
    assert project.setup_command("local") == "./start"
