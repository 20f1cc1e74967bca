"""Whose the agent's files are: the image's own user, or the one that PUID and PGID say."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound

from tests.engine.container import PATIENT, Running, wait_until
from tests.engine.deployment import PASSWORD, USER

MAC = {"OPENCODE_CLOUD_PUID": "501", "OPENCODE_CLOUD_PGID": "20"}
OTHER = {"OPENCODE_CLOUD_PUID": "1001", "OPENCODE_CLOUD_PGID": "1002"}
DATA = "/home/opencode/.local/share/opencode"
PROJECT = "/workspace/project"


class Owned(Running):
    """A container that can be made anew for another owner, with a folder of the host in it."""

    def become(self, told: Mapping[str, str]) -> None:
        """Have another container with these ids take its place, on the same volumes."""
        self.remove_container()
        self._environment = {**PATIENT, **told}
        self.create()

    def ids(self, path: str) -> str:
        return self.run("stat", "-c", "%u:%g", path).strip()

    def alien(self) -> list[str]:
        """What there is in the agent's places that neither the agent nor root owns."""
        places = ("/home/opencode", "/workspace")
        others = ("!", "-user", "opencode", "!", "-user", "root", "!", "-path", f"{PROJECT}/*")
        return self.run("find", *places, *others, "-print").splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of the host, with a file of somebody else's."""
    folder = tmp_path / "project"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / "theirs").write_text("theirs")
    os.chown(folder / "theirs", 1000, 1000)
    return folder


@pytest.fixture
def owned(docker_client: docker.DockerClient, image: str, host: Path) -> Iterator[Owned]:
    made = Owned(docker_client, image, {**PATIENT, **MAC}, folders={str(host): PROJECT})
    try:
        made.create()
        made.add_user()
        yield made
    finally:
        with suppress(NotFound):
            made.remove()


def owner(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


def test_what_the_agent_makes_in_a_mounted_folder_belongs_to_who_was_said(owned: Owned, host: Path):
    owned.run("touch", f"{PROJECT}/made", user="opencode")
    assert owner(host / "made") == (501, 20)
    assert owner(host / "theirs") == (1000, 1000), "what was there is not ours to give away"
    assert owned.run("id", "-un", user="opencode").strip() == "opencode"
    assert owned.run("id", "-gn", user="opencode").strip() == "opencode"
    assert owned.run("stat", "-c", "%U:%G", "/workspace").strip() == "opencode:opencode"
    pid = owned.pids("^opencode serve")[0]
    told = owned.run("grep", "-E", "^(Uid|Gid)", f"/proc/{pid}/status").split()
    assert told == ["Uid:", *["501"] * 4, "Gid:", *["20"] * 4]


def test_git_and_accounts_and_sessions_work_under_other_ids(owned: Owned):
    git = ("git", "-C", "/workspace")
    owned.run(*git, "commit", "--allow-empty", "--message", "Try", user="opencode")
    assert owned.run(*git, "status", "--porcelain", user="root") == "?? project/\n"
    assert owned.run("id", "-nG", USER).split() == [USER, "opencode", "opencode-users"]
    assert owned.lets_in(owned.sign_in())
    owned.run("opencode-user", "add", "grace", stdin=f"{PASSWORD}\n")
    assert "grace\tenabled" in owned.run("opencode-user", "list")
    assert owned.run("stat", "-c", "%U", "/home/grace").strip() == "grace"


def test_other_ids_take_over_what_there_is_and_can_be_changed_back(owned: Owned, host: Path):
    browser = owned.sign_in()
    owned.run("mkdir", "-p", "/workspace/deep/er", user="opencode")
    owned.run("ln", "-s", "/etc/hostname", "/workspace/deep/link", user="opencode")
    owned.run("ln", "-s", PROJECT, "/workspace/deep/folder", user="opencode")
    owned.run("touch", "/workspace/deep/er/file", "/workspace/of-root", user="root")
    owned.run("chown", "opencode:opencode", "/workspace/deep/er/file")
    theirs = {path: owner(path) for path in host.iterdir()}
    for told, ids in ((OTHER, "1001:1002"), ({}, "1000:1000"), (MAC, "501:20")):
        owned.become(told)
        for place in ("/home/opencode", DATA, "/workspace/deep/er/file", "/workspace/deep/link"):
            assert owned.ids(place) == ids, place
        assert owned.ids("/workspace/of-root") == "0:0", "it was never the agent's"
        assert owned.ids("/etc/hostname") == "0:0", "no link is followed"
        assert owned.alien() == []
        assert {path: owner(path) for path in host.iterdir()} == theirs
        assert re.search(rf"^init +\| the agent is {ids} from now on", owned.logs(), re.MULTILINE)
        assert owned.lets_in(browser), "nobody is signed out"
        owned.run("touch", f"{DATA}/written", user="opencode")


def test_a_restart_with_the_same_ids_walks_nothing(owned: Owned):
    owned.run("touch", "/workspace/strange", user="root")
    owned.run("chown", "1000:1000", "/workspace/strange")
    owned.container.restart()
    wait_until(owned.is_healthy, 60, owned.logs)
    assert owned.ids("/workspace/strange") == "1000:1000"
    assert owned.logs().count("from now on") == 1


def test_an_interrupted_change_is_finished_even_for_another_one(owned: Owned):
    owned.run("mkdir", "/workspace/half", user="opencode")
    owned.run("touch", "/workspace/half/1", "/workspace/half/2", user="opencode")
    # As if 1300 had come that far: noted, some files changed, the root not yet.
    history = "/var/lib/opencode-cloud/users/agent-ids"
    owned.run("sh", "-c", f"cat >> {history}", stdin="1300:1300\n")
    owned.run("chown", "1300:1300", "/workspace/half/1")
    owned.become(OTHER)
    assert owned.ids("/workspace/half/1") == owned.ids("/workspace/half/2") == "1001:1002"
    assert owned.run("cat", history) == "1001:1002\n"


def test_folders_that_docker_makes_above_a_mount_are_the_agents(
    docker_client: docker.DockerClient, image: str, host: Path
):
    made = Owned(docker_client, image, folders={str(host): "/workspace/one/two/three"})
    try:
        made.create()
        made.run("touch", "/workspace/one/mine", "/workspace/one/two/mine", user="opencode")
        assert owner(host) == (os.geteuid(), os.getegid())
    finally:
        made.remove()


def test_of_a_folder_of_the_host_in_a_volumes_place_only_itself_is_given_to_the_agent(
    docker_client: docker.DockerClient, image: str, host: Path
):
    (host / "mine").touch()
    for path, user in ((host / "mine", 1234), (host, 1234)):
        os.chown(path, user, user)
    container = docker_client.containers.run(
        image,
        detach=True,
        environment=MAC,
        volumes={str(host): {"bind": "/workspace", "mode": "rw"}},
    )
    try:
        wait_until((host / ".git").exists, 60, lambda: container.logs().decode())
        assert owner(host) == (501, 20)
        assert owner(host / "theirs") == (1000, 1000)
        assert owner(host / "mine") == (1234, 1234)
    finally:
        container.remove(force=True, v=True)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"OPENCODE_CLOUD_PUID": "0"}, "OPENCODE_CLOUD_PUID is '0'"),
        ({"OPENCODE_CLOUD_PUID": "ada"}, "OPENCODE_CLOUD_PUID is 'ada'"),
        ({"OPENCODE_CLOUD_PUID": "801"}, "the user id 801 is gateway's"),
        ({"OPENCODE_CLOUD_PGID": "42"}, "the group id 42 is shadow's"),
    ],
    ids=str,
)
def test_ids_that_the_agent_cannot_have_stop_the_start_with_the_reason(
    docker_client: docker.DockerClient, image: str, told: dict[str, str], words: str
):
    container = docker_client.containers.run(image, detach=True, environment=told)
    try:
        assert container.wait(timeout=30)["StatusCode"] == 1
        said = container.logs().decode()
        assert words in said
        assert "Traceback" not in said
    finally:
        container.remove(force=True, v=True)
