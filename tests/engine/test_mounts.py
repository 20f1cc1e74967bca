"""Folders of the host in a real deployment: added, listed, applied, refused, removed by occ."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.engine.deployment import Deployment
from tests.engine.execution import execute
from tests.engine.operator import Operator
from tests.engine.stack import PulumiFailedError

WRITABLE, READ_ONLY = "/workspace/writable", "/workspace/read-only"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of the host, the agent's to write in."""
    folder = tmp_path_factory.mktemp("host")
    for name in ("writable", "read-only", "odd $name"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    (folder / "read-only" / "given.txt").write_text("given")
    (folder / "link").symlink_to(folder / "writable")
    return folder


@pytest.fixture
def stack_text(operated: Operator) -> Iterator[str]:
    """The stack's file, put back at the end."""
    before = operated.stack_file.read_text()
    yield before
    operated.stack_file.write_text(before)


def mounted(deployment: Deployment) -> dict[str, tuple[str, bool]]:
    """The host's folders in the container, by place: which, and whether to write in."""
    return {
        mount["Destination"]: (mount["Source"], mount["RW"])
        for mount in deployment.container.attrs["Mounts"]
        if mount["Type"] == "bind"
    }


def states(operated: Operator) -> dict[str, str]:
    return {
        row["target"]: row["state"] for row in json.loads(operated.occ("mount", "list", "--json"))
    }


def test_a_folder_that_cannot_be_mounted_is_refused_before_anything_changes(
    operated: Operator, host: Path, stack_text: str
):
    before = operated.deployment.container.id
    for spec, words in {
        f"{host}/nowhere:{WRITABLE}": "does not exist",
        f"{host}/read-only/given.txt:{WRITABLE}": "is not a folder",
        f"/var/run:{WRITABLE}": "a container engine's socket",
        f"{host}/writable": f"write {host}/writable:{WRITABLE}",
        f"{host}/writable:/etc/opencode": "belongs to the system",
        f"{host}/writable:/workspace": "workspace volume",
        f"writable:{WRITABLE}": "is not an absolute path",
    }.items():
        assert words in operated.occ.refused("mount", "add", spec, "--yes", "--apply")
        assert words in operated.occ.refused("config", "set", "mounts", spec, "--yes")
    assert operated.stack_file.read_text() == stack_text
    assert operated.deployment.container.id == before


def test_a_folder_that_gives_too_much_away_needs_a_yes(operated: Operator, stack_text: str):
    said = operated.occ.refused("mount", "add", "/etc:/workspace/etc:ro")
    assert "/etc holds this machine's settings, password hashes among them" in said
    assert "mount add /etc:/workspace/etc:ro --yes" in said
    assert operated.stack_file.read_text() == stack_text
    assert "is nobody to ask" in operated.occ.refused("config", "set", "mounts", "/etc:/srv/etc")
    with operated.occ.on_terminal("mount", "add", "/etc:/workspace/etc:ro") as terminal:
        assert "the agent could read it" in terminal.expect("Mount it all the same? [y/N]")
        terminal.press("n\n")
        terminal.expect("Nothing was changed.")
        assert terminal.ends() == 1
    assert operated.stack_file.read_text() == stack_text
    said = operated.occ("mount", "add", "/etc:/workspace/etc:ro", "--yes")
    assert "To apply it: " in said
    assert "opencode:mounts: " in operated.stack_file.read_text()


def test_the_program_refuses_a_missing_folder_before_anything_changes(
    operated: Operator, host: Path, stack_text: str
):
    deployment = operated.deployment
    before = deployment.container.id
    specs = f"{host}/nowhere:{WRITABLE},/var/run:{READ_ONLY}"
    deployment.stack.configure({"mounts": specs})
    with pytest.raises(PulumiFailedError) as caught:
        deployment.stack.up()
    assert f"opencode:mounts = '{host}/nowhere:{WRITABLE}' does not exist" in str(caught.value)
    assert "a container engine's socket" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (host / "nowhere").exists()
    assert deployment.container.id == before


def test_folders_are_mounted_as_they_are_said_and_a_second_run_changes_nothing(
    operated: Operator, host: Path
):
    occ, deployment = operated.occ, operated.deployment
    said = occ(
        *("mount", "add", f"{host}/link/:{WRITABLE}", f"{host}/read-only:{READ_ONLY}:ro"),
        f"{host}/odd $name:/home/opencode/odd name",
    )
    assert f"{host}/link is a link: {host}/writable is what is mounted." in said
    assert "The container is replaced" in said
    assert set(states(operated).values()) == {"waiting"}
    occ("start")
    assert mounted(deployment) == {
        WRITABLE: (f"{host}/writable", True),
        READ_ONLY: (f"{host}/read-only", False),
        "/home/opencode/odd name": (f"{host}/odd $name", True),
    }
    assert set(states(operated).values()) == {"active"}
    before = deployment.container.id
    deployment.stack.preview("--expect-no-changes")
    deployment.stack.preview("--refresh", "--expect-no-changes")
    deployment.stack.refresh()
    deployment.stack.preview("--expect-no-changes")
    assert "mounts" in occ("config", "get", "mounts", "--json")
    occ("start")
    assert deployment.container.id == before

    deployment.run("sh", "-c", f"echo made > {WRITABLE}/made.txt", user="opencode")
    assert (host / "writable/made.txt").read_text() == "made\n"
    assert deployment.run("cat", f"{READ_ONLY}/given.txt", user="opencode") == "given"
    refused = execute(deployment.container.id, "touch", f"{READ_ONLY}/x", user="root")
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stdout


def test_status_shows_the_folders_apart_from_the_volumes(operated: Operator, host: Path):
    shown = json.loads(operated.occ("status", "--json"))["mounts"]
    binds = {mount["path"]: mount["writable"] for mount in shown if mount["kind"] == "bind"}
    assert binds == {WRITABLE: True, READ_ONLY: False, "/home/opencode/odd name": True}
    lines = operated.occ("status").splitlines()
    assert "Mounts      /home/opencode/odd name ← " in "\n".join(lines)
    assert f"            {READ_ONLY} ← {host}/read-only (read-only)" in lines
    assert f"            {WRITABLE} ← {host}/writable" in lines


def test_the_agents_ids_can_be_changed_under_a_deployment_that_has_data(
    operated: Operator, host: Path
):
    occ, deployment = operated.occ, operated.deployment
    answer = requests.post(f"{deployment.url}/session", auth=deployment.basic, json={}, timeout=30)
    session = answer.json()["id"]
    deployment.run("sh", "-c", "echo mine > /workspace/mine.txt", user="opencode")
    occ("config", "set", "puid", "501", "--yes")
    occ("config", "set", "pgid", "20", "--yes")
    occ("start")
    assert deployment.get(f"/session/{session}").json()["id"] == session
    deployment.run("sh", "-c", "echo more >> /workspace/mine.txt", user="opencode")
    deployment.run("sh", "-c", f"echo new > {WRITABLE}/new.txt", user="opencode")
    found = (host / "writable/new.txt").stat()
    assert (found.st_uid, found.st_gid) == (501, 20)
    assert (host / "writable/made.txt").stat().st_uid == 1000, "as it was on the host"
    assert occ("shell", "id", "-un").strip() == "opencode"
    assert occ("shell", "id", "-u").strip() == "501"
    assert deployment.run("git", "-C", "/workspace", "status", "--short", user="opencode")
    assert "ada" in occ("user", "list")
    deployment.stack.preview("--refresh", "--expect-no-changes")


def test_the_owner_of_a_folder_that_the_agent_cannot_write_in_is_told_what_to_set(
    operated: Operator, host: Path, stack_text: str
):
    closed = host / "closed"
    closed.mkdir(mode=0o755)
    os.chown(closed, 1234, 1235)
    said = operated.occ("mount", "add", f"{closed}:/workspace/closed")
    occ = f"occ --host {operated.stack}"
    assert f"{occ} config set puid 1234 and {occ} config set pgid 1235" in said


def test_a_mount_for_one_start_is_in_no_settings(operated: Operator, host: Path):
    from opencode_cloud.ops.one_off import config_with
    from opencode_cloud.ops.program import Program
    from opencode_cloud.start.paths import Paths

    paths = Paths(operated.checkout, operated.data, operated.folder)
    program = Program(paths, operated.stack)
    before = operated.stack_file.read_text()
    extra = f"{host}/read-only:/workspace/once:ro"
    with config_with(program, {"mounts": extra}) as file:
        assert file.stat().st_mode & 0o777 == 0o600
        operated.deployment.stack.operate(
            "up", "--yes", "--skip-preview", "--config-file", str(file)
        )
    assert not file.exists()
    assert mounted(operated.deployment) == {"/workspace/once": (f"{host}/read-only", False)}
    assert operated.stack_file.read_text() == before
    assert states(operated)["/workspace/once"] == "leaving"
    operated.deployment.stack.up()
    assert WRITABLE in mounted(operated.deployment)


def test_what_is_removed_stays_on_the_host(operated: Operator, host: Path):
    occ = operated.occ
    assert "There is " in occ.refused("mount", "remove", "/srv/x")
    occ("mount", "remove", WRITABLE, f"{host}/read-only:{READ_ONLY}", "/home/opencode/odd name")
    assert set(states(operated).values()) == {"leaving"}
    assert "opencode:mounts" not in operated.stack_file.read_text()
    occ("start")
    assert mounted(operated.deployment) == {}
    assert (host / "writable/made.txt").exists()
    assert states(operated) == {}
