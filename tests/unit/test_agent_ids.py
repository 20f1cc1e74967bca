"""The agent's ids in passwd and group, and what is handed over; chown itself needs the image."""

import os
from pathlib import Path

import pytest
from accounts import agent
from accounts.agent import Ids, RefusedError

PASSWD = [
    "root:x:0:0:root:/root:/bin/bash",
    "www-data:x:33:33::/var/www:/usr/sbin/nologin",
    "session:x:800:800::/:/usr/sbin/nologin",
    "opencode:x:1000:1000::/home/opencode:/bin/bash",
    "ada:x:2000:2000::/home/ada:/bin/bash",
]
GROUP = [
    "root:x:0:",
    "dialout:x:20:",
    "shadow:x:42:session",
    "opencode:x:1000:ada",
    "ada:x:2000:",
]


def test_the_agent_gets_its_ids_and_nobody_else_changes():
    changed = agent.passwd_with(PASSWD, Ids(501, 20))
    assert changed[1] == "opencode:x:501:20::/home/opencode:/bin/bash"
    assert set(changed) - set(PASSWD) == {changed[1]}
    groups = agent.group_with(GROUP, Ids(501, 20))
    assert groups[:3] == ["root:x:0:", "opencode:x:20:ada", "dialout:x:20:"]


def test_the_same_ids_again_change_nothing():
    once = agent.passwd_with(PASSWD, Ids(501, 20))
    assert agent.passwd_with(once, Ids(501, 20)) == once
    assert set(agent.passwd_with(once, agent.OWN)) == set(PASSWD)


@pytest.mark.parametrize("user", [0, 33, 800, 2000])
def test_nobody_elses_user_id_is_taken(user: int):
    with pytest.raises(RefusedError, match=f"the user id {user} is "):
        agent.passwd_with(PASSWD, Ids(user, 1000))


def test_the_group_that_reads_hashes_is_refused():
    with pytest.raises(RefusedError, match="shadow"):
        agent.group_with(GROUP, Ids(1000, 42))


def test_what_the_container_was_told_is_read():
    assert agent.wanted({}) == Ids(1000, 1000)
    assert agent.wanted({"OPENCODE_CLOUD_PUID": "501"}) == Ids(501, 1000)
    assert agent.wanted({"OPENCODE_CLOUD_PGID": "20", "OPENCODE_CLOUD_PUID": ""}) == Ids(1000, 20)
    for value in ("0", "-1", "01", "1x", " 1", "12345678901", "٣"):
        with pytest.raises(RefusedError):
            agent.wanted({"OPENCODE_CLOUD_PUID": value})


def test_the_kernels_table_is_read_with_its_escapes():
    table = (
        "36 35 98:0 / /workspace rw,noatime master:1 - ext3 /dev/root rw\n"
        "37 36 98:0 /x /workspace/a\\040b\\134c rw - ext3 /dev/root rw\n"
    )
    assert agent.mount_points(table) == {"/workspace": "/", "/workspace/a b\\c": "/x"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/var/lib/docker/volumes/opencode-local-data/_data", True),
        ("/volumes/x/_data", True),
        ("/home/ada/volumes/x/_data/project", False),
        ("/home/ada/project", False),
        ("/", False),
    ],
)
def test_a_folder_of_the_host_is_told_from_a_volume(source: str, expected: bool):
    assert agent.is_the_deployments("/workspace", {"/workspace": source}) == expected
    assert agent.is_the_deployments("/home/opencode", {"/workspace": source})


def test_only_folders_above_a_mount_and_in_no_other_are_found():
    mounted = {"/workspace", "/workspace/a/b/c", "/workspace/p", "/workspace/p/q/r", "/etc/x"}
    found = sorted(agent.made_for_mounts("/workspace", mounted))
    assert found == ["/workspace/a", "/workspace/a/b"]


def test_what_is_handed_over_is_what_the_old_owner_had_and_nothing_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "folder/mounted").mkdir(parents=True)
    (tmp_path / "folder/file").touch()
    (tmp_path / "folder/mounted/theirs").touch()
    (tmp_path / "bound-file").touch()
    (tmp_path / "link").symlink_to("/etc")
    changed: list[str] = []

    def chown(name: str, user: int, group: int, **options: object) -> None:
        assert (user, group) == (501, 20)
        assert options.get("follow_symlinks") is False or name == str(tmp_path)
        changed.append(name)

    monkeypatch.setattr(os, "chown", chown)
    mine = Ids(os.geteuid(), os.getegid())
    mounted = {f"{tmp_path}/folder/mounted", f"{tmp_path}/bound-file"}
    assert agent.hand_over(str(tmp_path), [mine], Ids(501, 20), mounted) == 4
    assert sorted(changed[:-1]) == ["file", "folder", "link"]
    assert changed[-1] == str(tmp_path), "the mark that all is done comes last"

    changed.clear()
    agent.hand_over(str(tmp_path), [Ids(7, 7)], Ids(501, 20), mounted)
    assert changed == [str(tmp_path)], "what others own stays theirs"


@pytest.mark.parametrize(
    ("owner", "before", "expected"),
    [
        (Ids(501, 20), [], False),
        (Ids(1000, 1000), [], True),
        (Ids(501, 1000), [], True),
        (Ids(501, 30), [Ids(501, 30)], True),
        (Ids(501, 4242), [Ids(501, 20)], False),
        (Ids(0, 0), [], True),
    ],
)
def test_a_place_is_handed_over_unless_it_is_the_agents_or_its_group_was_chosen(
    owner: Ids, before: list[Ids], expected: bool
):
    assert agent.is_anothers(owner, before, Ids(501, 20)) == expected
