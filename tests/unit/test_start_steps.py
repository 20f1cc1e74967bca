import os
import re
import sys
from pathlib import Path

import pytest

from opencode_cloud.start import plan
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.plan import Context
from opencode_cloud.start.process import Answer, CommandError
from opencode_cloud.start.screen import Screen
from opencode_cloud.start.steps import ORDER
from opencode_cloud.start.steps.base_image import LOCAL_BASE, BaseImage, pinned_base
from opencode_cloud.start.steps.docker_engine import DockerEngine, is_stale
from opencode_cloud.start.steps.state import State
from tests.unit.start_parts import LINUX, ROOT, Notes, RecordingRunner, context, ok, runner_of

PINNED = "debian:trixie-slim@sha256:" + "a" * 64


def with_dockerfile(asked: Context) -> Context:
    (asked.paths.root / "docker").mkdir(exist_ok=True)
    (asked.paths.root / "docker" / "Dockerfile").write_text(f"ARG BASE_IMAGE={PINNED}\n")
    return asked


def test_each_step_comes_after_what_it_needs():
    assert [step.__name__ for step in ORDER] == [
        "PythonEnvironment",
        "DockerEngine",
        "PulumiEngine",
        "State",
        "BaseImage",
        "Stack",
        "Image",
        "Deployment",
        "Health",
        "FirstUser",
    ]


def test_an_engine_that_answers_is_used_and_its_host_remembered(tmp_path: Path):
    host = "unix:///run/user/1000/docker.sock"
    answers = {("docker", "context"): ok(host), ("docker", "version"): ok("28.0.0")}
    asked = context(tmp_path, RecordingRunner(answers=answers))
    assert DockerEngine(asked).is_done() == "version 28.0.0"
    assert asked.docker_host == asked.environment["DOCKER_HOST"] == host


def test_the_engine_that_the_stack_names_comes_before_the_environments(tmp_path: Path):
    asked = context(tmp_path)
    asked.environment["DOCKER_HOST"] = "unix:///theirs"
    asked.paths.stack_file("local").write_text("config:\n  opencode:docker_host: unix:///ours\n")
    DockerEngine(asked).is_done()
    assert asked.docker_host == "unix:///ours"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({("docker", "context"): ok("ssh://elsewhere")}, "speaks to ssh://elsewhere"),
        ({("docker", "context"): ok("tcp://127.0.0.1:2375")}, "unset DOCKER_HOST"),
        ({("docker", "context"): ok("unix:///home/ada/d.sock")}, "/d.sock does not answer"),
        (
            {("docker", "version"): Answer(1, "", "permission denied while trying to connect")},
            "usermod -aG docker",
        ),
    ],
)
def test_an_engine_that_cannot_be_used_is_an_obstacle_with_a_way_out(
    tmp_path: Path, answers: dict[tuple[str, ...], Answer], words: str
):
    asked = context(tmp_path, RecordingRunner(answers=answers))
    assert words in DockerEngine(asked).obstacle()


def test_nothing_is_in_the_way_where_packages_may_be_installed(tmp_path: Path):
    assert DockerEngine(context(tmp_path)).obstacle() == ""


def test_the_state_is_the_users_alone(tmp_path: Path):
    asked = context(tmp_path)
    step = State(asked)
    assert not step.is_done()
    step.run(Notes())
    assert step.is_done() == f"file://{asked.paths.state}"
    assert asked.paths.passphrase.stat().st_mode & 0o777 == 0o600
    assert asked.paths.state.stat().st_mode & 0o777 == 0o700
    assert len(asked.paths.passphrase.read_text().strip()) >= 32


def test_the_state_is_made_once(tmp_path: Path):
    asked = context(tmp_path)
    State(asked).run(Notes())
    before = asked.paths.passphrase.read_text()
    State(asked).run(Notes())
    assert asked.paths.passphrase.read_text() == before


def test_a_backend_and_a_passphrase_of_the_users_own_leave_nothing_to_do(tmp_path: Path):
    asked = context(tmp_path)
    asked.environment |= {"PULUMI_BACKEND_URL": "s3://x", "PULUMI_CONFIG_PASSPHRASE": "y"}
    assert State(asked).is_done() == "s3://x"


def test_a_lost_passphrase_is_never_replaced_while_something_needs_it(tmp_path: Path):
    asked = context(tmp_path)
    State(asked).run(Notes())
    asked.paths.passphrase.unlink()
    stacks = asked.paths.state / ".pulumi" / "stacks" / "opencode"
    stacks.mkdir(parents=True)
    (stacks / "local.json").write_text("{}")
    assert "Put the file back from a backup" in State(asked).obstacle()
    with pytest.raises(StartError):
        State(asked).run(Notes())
    assert not asked.paths.passphrase.exists()


def test_secrets_of_a_lost_passphrase_are_not_thrown_away(tmp_path: Path):
    asked = context(tmp_path)
    file = asked.paths.stack_file("local")
    file.write_text("encryptionsalt: v1:x\nconfig:\n  opencode:key:\n    secure: v1:abc\n")
    assert "holds secrets that only it opens" in State(asked).obstacle()


def test_a_stack_file_bound_to_a_lost_passphrase_is_freed_when_it_protects_nothing(
    tmp_path: Path,
):
    asked = context(tmp_path)
    file = asked.paths.stack_file("local")
    file.write_text("encryptionsalt: v1:x\nconfig:\n  opencode:port: 4097\n")
    State(asked).run(Notes())
    assert file.read_text() == "config:\n  opencode:port: 4097\n"


def test_the_base_is_the_one_that_the_dockerfile_pins():
    pinned = pinned_base((ROOT / "docker" / "Dockerfile").read_text())
    assert re.fullmatch(r"debian:trixie-slim@sha256:[0-9a-f]{64}", pinned)
    with pytest.raises(CommandError, match="no line ARG BASE_IMAGE"):
        pinned_base("FROM debian:trixie-slim\n")


@pytest.mark.parametrize(
    ("present", "settings", "words", "base"),
    [
        ([PINNED, LOCAL_BASE], "", PINNED, ""),
        ([LOCAL_BASE], "", LOCAL_BASE, LOCAL_BASE),
        ([PINNED], f"  opencode:base_image: {LOCAL_BASE}\n", PINNED, ""),
        ([], "  opencode:base_image: ubuntu:24.04\n", "ubuntu:24.04, as", "ubuntu:24.04"),
        ([], "  opencode:image_source: prebuilt\n", "not needed", ""),
        ([], "", "", ""),
    ],
    ids=["pinned", "made here", "pinned again", "the user's", "prebuilt", "none"],
)
def test_a_base_that_is_there_is_used(
    tmp_path: Path, present: list[str], settings: str, words: str, base: str
):
    asked = with_dockerfile(context(tmp_path))
    for image in present:
        runner_of(asked).answers["docker", "image", "inspect", image] = ok()
    asked.paths.stack_file("local").write_text(f"config:\n{settings}")
    found = BaseImage(asked).is_done()
    assert found.startswith(words)
    assert bool(found) == bool(words)
    assert asked.base_image == base


def test_a_base_that_no_registry_gives_is_made_and_imported_whole(tmp_path: Path):
    asked = with_dockerfile(context(tmp_path))
    asked.environment["PATH"] = os.environ["PATH"]

    def refuse(command: tuple[str, ...]) -> None:
        if command[1] == "pull":
            raise CommandError("docker failed (status 1):", ["no such host"])

    runner_of(asked).on_run = refuse
    notes = Notes()
    BaseImage(asked).run(notes)
    assert "no base image from a registry: no such host" in notes.said
    make, import_ = runner_of(asked).ran[-2:]
    assert make[:3] == (
        "sh",
        str(ROOT / "opencode_cloud/start/steps/base_image.sh"),
        "trixie",
    )
    assert import_[:2] == ("docker", "import")
    assert import_[-1] == asked.base_image == LOCAL_BASE
    assert not [path for path in asked.paths.cache.iterdir() if path.name.startswith("base-")]


def test_a_base_that_breaks_off_is_not_imported(tmp_path: Path):
    asked = with_dockerfile(context(tmp_path))
    asked.environment["PATH"] = os.environ["PATH"]

    def break_off(command: tuple[str, ...]) -> None:
        raise CommandError(f"{command[0]} failed", [])

    runner_of(asked).on_run = break_off
    with pytest.raises(CommandError):
        BaseImage(asked).run(Notes())
    assert not [command for command in runner_of(asked).ran if "import" in command]
    assert not list(asked.paths.cache.iterdir())


def test_the_plan_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked = with_dockerfile(context(tmp_path))
    (asked.paths.root / "requirements.txt").write_text("pulumi-docker==5.2.0\n")
    plan.explain([step(asked) for step in ORDER], Screen(sys.stdout))
    shown = capsys.readouterr().out
    assert runner_of(asked).ran == []
    assert shown.count("to do") == len(ORDER)
    assert "apt-get install -y --no-install-recommends docker.io iptables" in shown
    assert "docker exec -i opencode-local opencode-user add admin" in shown
    assert LINUX.shown(("apt-get",)) == "apt-get"


@pytest.mark.parametrize(
    ("written", "runs", "stale"),
    [
        (None, None, False),
        ("7", "dockerd", False),
        ("7", "postgres", True),
        ("7", None, True),
        ("", "dockerd", True),
    ],
)
def test_what_a_killed_engine_left_is_told_from_one_that_runs(
    tmp_path: Path, written: str | None, runs: str | None, stale: bool
):
    pid_file = tmp_path / "docker.pid"
    if written is not None:
        pid_file.write_text(written)
    if runs is not None:
        (tmp_path / "7").mkdir()
        (tmp_path / "7" / "comm").write_text(f"{runs}\n")
    assert is_stale(pid_file, "dockerd", tmp_path) is stale
