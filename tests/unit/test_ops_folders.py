"""Looking at paths: by this process, and by the script that hosts run, with one judgement."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from opencode_cloud.ops import folders, mounts
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.mount_dangers import Surroundings
from opencode_cloud.ops.shells import Done, LocalShell
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.mounts import BindMount, parse_mount
from opencode_cloud.spec.ssh import SshAddress, SshFiles

NOWHERE = SshFiles(known_hosts=Path("/k"), control=Path("/c"), docker=Path("/d"))


@dataclass(frozen=True)
class Counted(Ssh):
    """A host that is this machine, and counts how often it is asked."""

    asked: tuple[list[str], ...] = ([],)

    def run(self, script: str, *, stdin: str = "", seconds: float = 60) -> Done:
        self.asked[0].append(stdin)
        return LocalShell().run(script, stdin=stdin, seconds=seconds)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DockerHost:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    address = SshAddress(stack="box", host="box", user="ada")
    return DockerHost("box", "/srv/d.sock", Counted(address, NOWHERE, ([],)))


def test_the_script_sees_what_this_process_sees(tmp_path: Path):
    (tmp_path / "odd\nname").mkdir(mode=0o750)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("odd\nname")
    (tmp_path / "dangling").symlink_to("nowhere")
    paths = [str(tmp_path / name) for name in (".", "link", "file", "dangling", "nowhere")]
    paths += ["/", "/proc/1", "/a b/$(touch x)/'"]
    sight = folders.see_there(LocalShell(), paths)
    for path in paths:
        assert sight.seen[path] == folders.see(path), path
    assert Path("/proc") in folders.mount_points(sight.mounted)


def test_what_is_no_answer_is_an_error():
    class Odd(LocalShell):
        def run(self, *_: object, **__: object) -> Done:
            return Done(127, "", "sh: no such shell")

    with pytest.raises(OperationError, match="no such shell"):
        folders.see_there(Odd(), ["/"])


def test_a_hosts_folders_are_judged_by_what_is_on_the_host(box: DockerHost, tmp_path: Path):
    src = tmp_path / "home" / "src"
    src.mkdir()
    given = [
        parse_mount(f"{src}:/workspace/src"),
        parse_mount(f"{src}:/workspace/src/inner"),
        parse_mount("/etc:/workspace/etc:ro"),
        parse_mount(f"{src.parent}:/workspace/home:ro"),
        parse_mount("/nowhere/x:/workspace/x"),
    ]
    looked = mounts.look_on(box, Path(__file__).parents[2], given)
    said = {problem.value: f"{problem.why}: {problem.fix}" for problem in looked.problems}
    assert "where there is no folder for it" in said[f"{src}:/workspace/src/inner"]
    assert said["/nowhere/x:/workspace/x"].startswith("does not exist on ada@box: make it on ada@")
    assert "occ --host box mount remove" in said["/nowhere/x:/workspace/x"]
    dangers = {each.mount.source: each.why for each in looked.dangers}
    assert dangers == {
        "/etc": "holds ada@box's settings, password hashes among them",
        str(src.parent): "is a whole home folder, with keys and passwords in it",
    }
    assert isinstance(box.ssh, Counted)
    assert len(box.ssh.asked[0]) == 1


def test_our_own_state_is_no_danger_on_a_host(box: DockerHost, tmp_path: Path):
    """It lies on the machine of whoever deploys."""
    around = Surroundings.around(box, tmp_path, [])
    assert (around.data, around.program, around.where) == (None, None, "ada@box")
    assert Path("/srv/d.sock") in around.sockets
    assert around.see(f"{tmp_path}/home/.ssh").kind == folders.FOLDER


def test_the_ids_to_take_are_the_owners_on_the_host():
    settings = mounts.Settings.model_validate({"image_source": "build"})
    theirs = folders.Seen(real="/srv/x", kind=folders.FOLDER, user=1234, group=99, mode=0o750)
    said = mounts.unusable_by_agent(BindMount("/srv/x", "/workspace/x"), theirs, settings, "box")
    assert "occ --host box config set puid 1234" in said
