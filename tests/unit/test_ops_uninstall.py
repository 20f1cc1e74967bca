import subprocess
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.ops import uninstall
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.program import Program
from opencode_cloud.ops.timers import Timers
from opencode_cloud.ops.uninstall_plan import (
    OnDocker,
    Plan,
    Volume,
    armed,
    images_of,
    installed,
    left,
    on_docker,
    others,
    pulled_of,
)
from opencode_cloud.start.paths import Paths
from tests.unit.cli_parts import FakeEngine

HASH = "0123456789ab"
VOLUME = "docker:index/volume:Volume"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    (tmp_path / "stacks").mkdir()
    found = Paths(tmp_path, tmp_path / "data", tmp_path / "cache")
    (found.state / ".pulumi/stacks/opencode").mkdir(parents=True)
    return found


def test_only_images_that_were_built_for_this_stack_are_its_own():
    tags = [
        f"opencode-cloud:a-{HASH}",
        f"opencode-cloud:a-kept-{HASH}",
        f"opencode-cloud:a-b-{HASH}",
        "opencode-cloud:a",
        f"opencode-cloud/base:a-{HASH}",
        f"other/opencode-cloud:a-{HASH}",
        "debian:trixie-slim",
    ]
    images = [{"RepoTags": [tag]} for tag in tags] + [{"RepoTags": None}]
    assert list(images_of("a", images)) == tags[:2]
    assert list(images_of("a-b", images)) == [tags[2]]
    assert list(images_of("a.", images)) == []


def test_a_registrys_image_is_told_and_not_removed():
    images = [
        {"Id": "one", "RepoDigests": ["x@sha256:1"]},
        {"Id": "two", "RepoDigests": ["y@sha256:2"]},
        {"Id": "three", "RepoDigests": ["<none>@<none>"]},
    ]
    assert list(pulled_of({"one", "three"}, images)) == ["x@sha256:1"]


def test_what_docker_has_is_found_by_the_stacks_label():
    engine = FakeEngine(
        {
            "/containers/json": [{"Names": ["/opencode-a"], "Id": "c", "ImageID": "i"}],
            "/networks": [{"Name": "opencode-a", "Id": "n"}],
            "/volumes": {"Volumes": [{"Name": "two"}, {"Name": "one"}]},
            "/images/json": [],
            "/system/df": {"Volumes": [{"Name": "one", "UsageData": {"Size": 5}}]},
        }
    )
    found = on_docker(engine, "a")
    assert [each.name for each in found.containers] == ["opencode-a"]
    assert found.volumes == (Volume("one", 5), Volume("two", None))


def test_a_stack_is_armed_by_volumes_that_are_not_retained():
    kept = {"type": VOLUME, "retainOnDelete": True, "outputs": {"name": "kept"}}
    lost = {"type": VOLUME, "outputs": {"name": "lost"}}
    assert armed([kept, {"type": "docker:index/network:Network"}]) == []
    assert armed([kept, lost]) == ["lost"]


def test_other_stacks_are_known_by_their_state_and_by_what_is_encrypted(paths: Paths):
    assert others(paths, "a") == []
    (paths.state / ".pulumi/stacks/opencode/a.json").touch()
    (paths.state / ".pulumi/stacks/opencode/b.json").touch()
    paths.stack_file("c.d").write_text("encryptionsalt: v1:x\n")
    paths.stack_file("shipped").write_text("config: {}\n")
    assert others(paths, "a") == ["b", "c.d"]


def test_what_is_left_is_said_with_how_to_remove_it(paths: Paths):
    backups = paths.backups("a")
    backups.mkdir(parents=True)
    (backups / "one.tar").touch()
    paths.cache.mkdir()
    plan = Plan(
        stack="a",
        docker=OnDocker(volumes=(Volume("v", 2**20),), pulled=("x@sha256:1",)),
        stack_in_pulumi=True,
        file=None,
        changes="1  installed packages docker.io iptables\n2  made the image b:t with debootstrap",
    )
    found = {each.remove: each.what for each in left(paths, plan)}
    assert (
        "v (1.0 MiB)"
        in found[
            "docker volume rm $(docker volume ls -q --filter label=org.opencode-cloud.stack=a)"
        ]
    )
    for command in (
        f"rm -r {backups}",
        "docker image rm x@sha256:1",
        "docker image rm b:t",
        "sudo apt-get remove docker.io iptables",
        "occ --host a uninstall --all",
        f"rm -r {paths.cache}",
    ):
        assert command in found
    (paths.state / ".pulumi/stacks/opencode/b.json").touch()
    shared = [each for each in left(paths, plan) if "stacks b" in each.what]
    assert [each.remove for each in shared] == [""]


def test_secrets_that_go_with_the_settings_are_named(paths: Paths):
    file = paths.stack_file("a")
    file.write_text("config:\n  env:X: y\n  secret:KEY:\n    secure: v1:x\n  'secret:TWO': z\n")
    program = Program(paths, "a")
    plan = uninstall.plan(program, nothing_on_docker(), uninstall.Wish())
    assert list(plan.lines) == [f"the settings in {file}, and the secrets KEY, TWO"]


class Silent:
    """Somebody who is told what happens, and does not care."""

    def progress(self, text: str) -> None:
        """Take it."""

    def note(self, text: str) -> None:
        """Take it."""


def test_the_schedule_of_this_stacks_backups_goes(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    folder = paths.root / "units"
    folder.mkdir()
    for name in ("backup-a.timer", "backup-a.service", "backup-b.timer"):
        (folder / f"opencode-cloud-{name}").touch()
    timers = Timers(folder, is_system=False)
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(uninstall.Timers, "here", lambda _: timers)
    monkeypatch.setattr(Timers, "_run", lambda _, *words: asked.append(words))
    program, wish = Program(paths, "a"), uninstall.Wish()
    plan = uninstall.plan(program, nothing_on_docker(), wish)
    assert len(plan.units) == 2
    uninstall.carry_out(plan, program, nothing_on_docker(), wish, Silent())
    assert [each.name for each in folder.iterdir()] == ["opencode-cloud-backup-b.timer"]
    assert ("disable", "--quiet", "--now", "opencode-cloud-backup-a.timer") in asked
    assert uninstall.plan(program, nothing_on_docker(), wish).is_nothing


def test_packages_are_named_once():
    text = "1  installed packages a b\n2  made x\n3  installed packages b c\n"
    assert installed(text) == ["a", "b", "c"]


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    command = ("git", *identity, *words)
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_what_git_keeps_goes_back_to_what_git_has(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    root, file = paths.root, paths.stack_file("local")
    shipped = "config:\n  opencode:image_source: build\n"
    file.write_text(shipped)
    assert not uninstall._in_git(file)
    git(root, "init", "-q")
    git(root, "add", "stacks")
    git(root, "commit", "-qm", "as shipped")
    assert not uninstall._differs(file)
    # As ./start does.
    git(root, "update-index", "--skip-worktree", str(file))
    file.write_text(f"{shipped}encryptionsalt: v1:x\n")
    assert uninstall._in_git(file)
    assert uninstall._differs(file)
    uninstall._put_back(file)
    assert file.read_text() == shipped
    file.write_text("other")
    assert "Pulumi.local.yaml" in git(root, "status", "--short")
    own = paths.stack_file("own")
    own.write_text(shipped)
    assert not uninstall._in_git(own)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OperationError, match="git is not here"):
        uninstall._in_git(file)


def nothing_on_docker(**more: Any) -> FakeEngine:
    return FakeEngine(
        {
            "/containers/json": [],
            "/networks": [],
            "/volumes": {"Volumes": None},
            "/images/json": [],
            **more,
        }
    )


def test_what_all_stacks_share_is_refused_while_there_are_others(paths: Paths):
    (paths.state / ".pulumi/stacks/opencode/b.json").touch()
    with pytest.raises(OperationError, match="removes what b needs too"):
        uninstall.plan(Program(paths, "a"), nothing_on_docker(), uninstall.Wish(all=True))


def test_where_there_is_nothing_there_is_nothing_to_do(paths: Paths):
    plan = uninstall.plan(Program(paths, "a"), nothing_on_docker(), uninstall.Wish(data=True))
    assert plan.is_nothing


def test_without_docker_nothing_is_begun(paths: Paths):
    engine = FakeEngine({"/containers/json": EngineError("No Docker engine answers")})
    with pytest.raises(EngineError):
        uninstall.plan(Program(paths, "a"), engine, uninstall.Wish(force=True))


def test_backups_stay_when_all_else_goes(paths: Paths):
    for name in ("backups/a/one.tar", "rollback/a/two.tar", "state/x", "passphrase"):
        (paths.data / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.data / name).touch()
    elsewhere = paths.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "plugin").touch()
    (paths.data / "pulumi-home").symlink_to(elsewhere)
    uninstall._empty(paths.data)
    assert sorted(each.name for each in paths.data.iterdir()) == ["backups", "rollback"]
    assert (elsewhere / "plugin").exists()
