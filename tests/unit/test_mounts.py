"""Folders of the host: how they are written, what may be mounted where, and what is asked about."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opencode_cloud.cli import status_rows
from opencode_cloud.configuration import SettingsError, load
from opencode_cloud.ops import folders, mount_dangers, mounts
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.mount_dangers import Surroundings
from opencode_cloud.ops.status import Mount, Status
from opencode_cloud.settings import Settings
from opencode_cloud.spec.compose import compose_yaml
from opencode_cloud.spec.container import container_spec
from opencode_cloud.spec.mounts import BindMount, MountError, join_mounts, parse_mount, parse_mounts
from opencode_cloud.spec.volumes import MOUNT_PATHS

BUILD = {"image_source": "build"}


def settings(**raw: str) -> Settings:
    return load(BUILD | raw, "local")


# --- how they are written ---------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/workspace/a", BindMount("/a", "/workspace/a")),
        ("/a:/workspace/a:rw", BindMount("/a", "/workspace/a")),
        ("/a:/workspace/a:ro", BindMount("/a", "/workspace/a", writable=False)),
        ("//a///b/./c/:/srv/x/", BindMount("/a/b/c", "/srv/x")),
        ("/a b/ü$:/workspace/a b", BindMount("/a b/ü$", "/workspace/a b")),
        ("/:/srv/host:ro", BindMount("/", "/srv/host", writable=False)),
        ("/a:/home/opencode/.ssh:ro", BindMount("/a", "/home/opencode/.ssh", writable=False)),
        ("/a:/home/opencode/.config/opencode/skills", None),
        ("/a:/libx", None),
        ("/a:/tmp/x", None),
    ],
)
def test_a_mount_is_read_and_written_in_one_way(text: str, mount: BindMount | None):
    found = parse_mount(text)
    assert mount in (None, found)
    assert parse_mount(str(found)) == found
    assert settings(mounts=text).bind_mounts == (found,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/a", "write /a:/workspace/a"),
        ("a", "write it as /host/folder"),
        (":", "is not an absolute path"),
        ("::", "is not an absolute path"),
        ("/a:", "is not an absolute path"),
        (":/b", "is not an absolute path"),
        ("a:/b", "'a', which is not an absolute path"),
        ("~/a:/b", "'~/a', which is not an absolute path"),
        ("./a:/b", "is not an absolute path"),
        ("/a:b", "'b', which is not an absolute path"),
        ("/a/../b:/c", "goes up again"),
        ("/a:/workspace/../etc", "goes up again"),
        ("/a:/..", "goes up again"),
        ("/a:/b:rx", "write it as"),
        ("/a:/b:RO", "write it as"),
        ("/a:/b:ro:", "write it as"),
        ("C:\\a:/b", "write it as"),
        ("/a\n:/b", "character"),
        ("/a\0:/b", "character"),
        ("/a\x1b[31m:/b", "character"),
        ("/a:/", "is the whole of it"),
        ("/a://", "is the whole of it"),
        ("/a:/workspace", "workspace volume"),
        ("/a:/workspace/", "workspace volume"),
        ("/a:/home", "data volume"),
        ("/a:/home/opencode", "data volume"),
        ("/a:/home/opencode/.local/share", "data volume"),
        ("/a:/home/opencode/.config", "config volume"),
        ("/a:/home/opencode/.local/share/opencode/x", "in the deployment's own data volume"),
        ("/a:/home/opencode/.cache/x", "in the deployment's own cache volume"),
        ("/a:/home/ada", "where people's homes are made"),
        ("/a:/tmp", "belongs to the system"),
    ],
)
def test_what_is_no_mount_is_refused_with_what_to_write(text: str, words: str):
    with pytest.raises(MountError) as caught:
        parse_mount(text)
    assert words in str(caught.value)
    with pytest.raises(SettingsError, match="opencode:mounts = "):
        settings(mounts=text)


@pytest.mark.parametrize("folder", [*mount_dangers._SYSTEM, "/root"])
@pytest.mark.parametrize("below", ["", "/", "/x", "/x/y"])
def test_no_folder_of_the_containers_system_is_hidden(folder: str, below: str):
    with pytest.raises(MountError, match="belongs to the system"):
        parse_mount(f"/a:{folder}{below}")


@pytest.mark.parametrize("place", MOUNT_PATHS.values())
def test_no_volume_is_hidden(place: str):
    for target in (place, str(Path(place).parent)):
        with pytest.raises(MountError):
            parse_mount(f"/a:{target}")


def test_two_folders_cannot_have_one_place():
    with pytest.raises(SettingsError, match="two folders at /srv/x"):
        settings(mounts="/a:/srv/x,/b:/srv/x/:ro")


@given(st.text())
def test_any_text_is_read_or_refused_and_never_more(text: str):
    try:
        found = parse_mounts(text)
    except MountError:
        return
    assert parse_mounts(join_mounts(found)) == found
    assert all(".." not in mount.target.split("/") for mount in found)


# --- whose they are ---------------------------------------------------------


@pytest.mark.parametrize("user", ["0", "99", "501", "1000", "1001", "1999", "65536", "200000"])
def test_ordinary_users_can_own_what_the_agent_makes(user: str):
    assert settings(puid=user, pgid=user).puid == int(user)
    assert settings(pgid="20").pgid == 20, "everybody's group on a Mac"


@pytest.mark.parametrize("name", ["puid", "pgid"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("-1", "greater than or equal to 0"),
        ("1", "Debian's own"),
        ("42", "Debian's own"),
        ("98", "Debian's own"),
        ("800", "image's own services"),
        ("899", "image's own services"),
        ("2000", "accounts that sign in"),
        ("65534", "accounts that sign in"),
        ("2147483648", "less than or equal to"),
        ("root", "valid integer"),
        ("10.5", "valid integer"),
    ],
)
def test_ids_of_others_are_refused(name: str, value: str, words: str):
    with pytest.raises(SettingsError, match=f"opencode:{name} = '{value}'.*{words}"):
        settings(**{name: value})


def test_the_ids_are_told_to_the_container_when_they_are_not_the_images_own():
    spec = container_spec(settings(puid="501", pgid="20"), "local")
    assert spec.environment["OPENCODE_CLOUD_PUID"] == "501"
    assert spec.environment["OPENCODE_CLOUD_PGID"] == "20"
    environment = container_spec(settings(), "local").environment
    assert not [name for name in environment if name.endswith(("PUID", "PGID"))]


# --- where they are rendered ------------------------------------------------


def test_compose_mounts_the_same_folders_and_makes_none():
    spec = container_spec(settings(mounts="/a:/workspace/a,/b $c:/srv/b:ro"), "local")
    assert spec.mounts == (
        BindMount("/a", "/workspace/a"),
        BindMount("/b $c", "/srv/b", writable=False),
    )
    volumes = yaml.safe_load(compose_yaml(spec, "x"))["services"]["opencode"]["volumes"]
    assert volumes[-2:] == [
        {
            "type": "bind",
            "source": "/a",
            "target": "/workspace/a",
            "read_only": False,
            "bind": {"create_host_path": False},
        },
        {
            "type": "bind",
            "source": "/b $$c",
            "target": "/srv/b",
            "read_only": True,
            "bind": {"create_host_path": False},
        },
    ]


# --- what is looked at on the machine ---------------------------------------


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / "src").mkdir()
    data = home / ".local/share/opencode-cloud"
    data.mkdir(parents=True)
    program = home / "opencode-cloud"
    program.mkdir()
    (tmp_path / "run").mkdir()
    socket = tmp_path / "run/docker.sock"
    return Surroundings(home=home, data=data, program=program, sockets=(socket,))


def look(around: Surroundings, *texts: str) -> mounts.Looked:
    return mounts.look([parse_mount(text) for text in texts], around)


def test_an_ordinary_folder_is_mounted_without_a_word(around: Surroundings):
    looked = look(around, f"{around.home}/src:/workspace/src")
    assert looked.problems == looked.dangers == ()


def test_a_link_is_followed_once_and_for_all(around: Surroundings):
    (around.home / "link").symlink_to("src")
    looked = look(around, f"{around.home}/link:/workspace/src:ro")
    assert looked.mounts == (BindMount(f"{around.home}/src", "/workspace/src", writable=False),)


def test_all_that_is_in_the_way_is_said_at_once(around: Surroundings, tmp_path: Path):
    (around.home / "file").touch()
    (around.home / "odd,name").mkdir()
    (around.home / "odd").symlink_to("odd,name")
    (around.home / "dangling").symlink_to("nowhere")
    looked = look(
        around,
        f"{around.home}/nowhere:/workspace/1",
        f"{around.home}/file:/workspace/2",
        f"{tmp_path}/run:/workspace/3:ro",
        f"{tmp_path}:/workspace/4",
        f"{around.home}/odd:/workspace/5",
        f"{around.home}/dangling:/workspace/6",
        f"{around.home}/src:/workspace/7",
        f"{around.home}/src:/workspace/7/inner",
    )
    said = [(str(problem.value).partition(":")[2], problem.why) for problem in looked.problems]
    assert [(target, why.partition(" (it is")[0].partition(",")[0]) for target, why in said] == [
        ("/workspace/1", "does not exist"),
        ("/workspace/2", "is not a folder"),
        ("/workspace/3:ro", "holds a container engine's socket"),
        ("/workspace/4", "holds a container engine's socket"),
        ("/workspace/5", "has a name that no mount may have"),
        ("/workspace/6", "does not exist"),
        (
            "/workspace/7/inner",
            f"is to be mounted inside {around.home}/src:/workspace/7",
        ),
    ]
    assert "occ mount remove /workspace/1" in looked.problems[0].fix
    assert f"mkdir -p {around.home}/src/inner" in looked.problems[-1].fix


def test_a_folder_that_one_may_not_read_is_refused(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
):
    # Root, who may run this, may read everything.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "may not be read" in look(around, f"{around.home}/src:/workspace/x").problems[0].why


DANGEROUS = {
    "/": "is the whole machine",
    "/etc": "password hashes",
    "/etc/ssl": "password hashes",
    "/root": "root's home folder",
    "/home": "everybody's home folders",
    "/home/ada": "a whole home folder",
    "/Users/ada": "a whole home folder",
    "/var": "services",
    "/var/lib": "services",
    "/var/lib/docker/volumes/x": "all containers",
    "/run/user/1000": "sockets",
    "/proc/1": "kernel",
    "/sys": "kernel",
    "/dev": "disks",
    "/boot": "starts from",
    "/usr/local/bin": "programs that this machine runs",
    "/private/etc": "password hashes",
}


@pytest.mark.parametrize("folder", DANGEROUS)
def test_a_dangerous_folder_is_known_with_the_reason(around: Surroundings, folder: str):
    for writable in (True, False):
        mount = BindMount(folder, "/workspace/x", writable=writable)
        assert DANGEROUS[folder] in mount_dangers.danger(mount, around)


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("", "whole home"),
        ("..", "holds a whole home"),
        (".ssh", "keys and passwords"),
        (".ssh/sub", "keys and passwords"),
        (".aws", "keys and passwords"),
        (".local", "opencode-cloud's own state and passphrase"),
        (".local/share/opencode-cloud/state", "opencode-cloud's own state and passphrase"),
        ("opencode-cloud/stacks", "own program"),
    ],
)
def test_what_is_in_a_home_is_known_too(around: Surroundings, folder: str, words: str):
    source = os.path.normpath(around.home / folder)
    assert words in mount_dangers.danger(BindMount(source, "/workspace/x"), around)


@pytest.mark.parametrize("folder", ["src", ".config/nvim", "opencode-cloud-2"])
def test_what_people_work_on_is_not_dangerous(around: Surroundings, folder: str):
    source = str(around.home / folder)
    assert not mount_dangers.danger(BindMount(source, "/workspace/x"), around)
    for other in ("/srv/data", "/var/www", "/mnt/disk", "/opt/x", "/home/ada/src"):
        assert not mount_dangers.danger(BindMount(other, "/workspace/x"), around)


def test_the_program_may_be_read_but_not_changed_without_a_yes(around: Surroundings):
    program = str(around.program)
    assert not mount_dangers.danger(BindMount(program, "/workspace/x", writable=False), around)
    assert mount_dangers.danger(BindMount(program, "/workspace/x"), around)


def test_a_disk_inside_a_read_only_folder_is_not_hidden_from_who_mounts_it(
    around: Surroundings,
):
    table = f"36 35 98:0 / {around.home}/src/a\\040disk rw - ext4 /dev/sdb rw\n"
    known = replace(around, mounted=folders.mount_points(table))
    assert known.mounted == (around.home / "src/a disk",)
    source = str(around.home / "src")
    said = mount_dangers.danger(BindMount(source, "/workspace/x", writable=False), known)
    assert f"({source}/a disk) that Docker before 25 leaves writable" in said
    assert not mount_dangers.danger(BindMount(source, "/workspace/x"), known)
    assert folders.mount_points("") == ()


def test_the_sockets_are_those_that_the_settings_and_the_machine_name(tmp_path: Path):
    environment = {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_DATA_HOME": str(tmp_path)}
    around = Surroundings.of(tmp_path, "unix:///somewhere/d.sock", environment=environment)
    named = {str(path) for path in around.sockets}
    assert {"/somewhere/d.sock", "/run/docker.sock", "/run/user/7/docker.sock"} <= named
    assert around.data == tmp_path / "opencode-cloud"


# --- whether the agent can work in them -------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "theirs"
    made.mkdir()
    yield made
    made.chmod(0o700)


def test_the_agent_needs_the_owners_ids_where_the_folder_is_not_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.platform", "linux")
    mount = BindMount(str(folder), "/workspace/x")
    folder.chmod(0o777)
    assert not mounts.unusable_by_agent(mount, folders.see(mount.source), settings(), "second")
    folder.chmod(0o755)
    said = mounts.unusable_by_agent(mount, folders.see(mount.source), settings(), "second")
    found = folder.stat()
    assert "cannot write in" in said
    if found.st_uid:
        assert f"occ --host second config set puid {found.st_uid}" in said
    else:
        assert "belongs to root" in said
    read_only = BindMount(str(folder), "/workspace/x", writable=False)
    assert not mounts.unusable_by_agent(
        read_only, folders.see(read_only.source), settings(), "second"
    )
    folder.chmod(0o700)
    assert "cannot read" in mounts.unusable_by_agent(
        read_only, folders.see(read_only.source), settings(), "second"
    )
    monkeypatch.setattr("sys.platform", "darwin")
    assert not mounts.unusable_by_agent(mount, folders.see(mount.source), settings(), "second")


# --- adding and removing ----------------------------------------------------

ONE, TWO = BindMount("/a", "/workspace/a"), BindMount("/b", "/workspace/b", writable=False)


def test_a_folder_is_added_once_and_its_mode_is_the_last_ones():
    assert mounts.added("local", [ONE], [TWO]) == [ONE, TWO]
    assert mounts.added("local", [ONE], [ONE]) == [ONE]
    read_only = BindMount("/a", "/workspace/a", writable=False)
    assert mounts.added("local", [ONE, TWO], [read_only]) == [read_only, TWO]


def test_a_place_that_is_taken_is_not_given_away():
    with pytest.raises(SettingsError, match="has the place of /a") as caught:
        mounts.added("local", [ONE], [BindMount("/c", "/workspace/a")])
    assert "occ mount remove /workspace/a" in str(caught.value)


@pytest.mark.parametrize("word", ["/workspace/b", "/workspace/b/", "/b:/workspace/b:ro"])
def test_a_mount_is_removed_by_its_place_or_as_it_is_written(word: str):
    assert mounts.removed([ONE, TWO], [word]) == [ONE]


def test_what_is_not_mounted_cannot_be_removed():
    with pytest.raises(OperationError, match="Did you mean /workspace/a"):
        mounts.removed([ONE, TWO], ["/workspace/aa"])
    with pytest.raises(OperationError, match="There is /workspace/a, /workspace/b"):
        mounts.removed([ONE, TWO], ["/x"])
    with pytest.raises(OperationError, match="the settings name no folder"):
        mounts.removed([], ["/x"])


def test_all_that_cannot_be_a_mount_is_said_at_once():
    with pytest.raises(SettingsError) as caught:
        mounts.read("local", "/a", "/b:/workspace/b", "c:/d")
    assert len(caught.value.problems) == 2


# --- how they stand ---------------------------------------------------------


def facts(*found: BindMount, running: bool = True) -> dict[str, object]:
    rows = [
        {"Type": "bind", "Source": m.source, "Destination": m.target, "RW": m.writable}
        for m in found
    ]
    volume = {"Type": "volume", "Source": "/v", "Destination": "/workspace", "RW": True}
    return {"State": {"Running": running}, "Mounts": [*rows, volume]}


def test_each_folder_is_said_with_how_it_stands(around: Surroundings):
    source = BindMount(f"{around.home}/src", "/workspace/src")
    gone = BindMount("/gone", "/workspace/gone")

    def states(found: list[mounts.Standing]) -> dict[str, str]:
        return {row.target: row.state for row in found}

    assert states(
        mounts.standing([source], mounts.look([source], around), facts(source, gone))
    ) == {
        "/workspace/src": "active",
        "/workspace/gone": "leaving",
    }
    assert states(
        mounts.standing([source], mounts.look([source], around), facts(source, running=False))
    ) == {"/workspace/src": "stopped"}
    assert states(mounts.standing([source], mounts.look([source], around), {})) == {
        "/workspace/src": "waiting"
    }
    assert states(mounts.standing([source], mounts.look([source], around), None)) == {
        "/workspace/src": "unknown"
    }
    changed = BindMount(source.source, source.target, writable=False)
    both = [changed, gone]
    found = mounts.standing(both, mounts.look(both, around), facts(source))
    assert [(row.target, row.state) for row in found] == [
        ("/workspace/src", "waiting"),
        ("/workspace/gone", "waiting"),
        ("/workspace/src", "leaving"),
    ]
    assert found[1].problem == "does not exist"


def test_status_shows_folders_apart_from_volumes_and_marks_what_is_read_only():
    found = Status(
        stack="local",
        state="running",
        health="healthy",
        mounts=[
            Mount(
                kind="volume", source="opencode-local-workspace", path="/workspace", writable=True
            ),
            Mount(kind="bind", source="/a", path="/workspace/a", writable=True),
            Mount(kind="bind", source="/b", path="/workspace/b", writable=False),
        ],
    )
    assert status_rows.plain(found).splitlines()[-3:] == [
        "Data        /workspace ← opencode-local-workspace",
        "Mounts      /workspace/a ← /a",
        "            /workspace/b ← /b (read-only)",
    ]
