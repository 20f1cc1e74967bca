"""Backups on a real deployment: made while it works, and put back whatever happened to it."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from docker.models.containers import Container

from opencode_cloud.spec.volumes import Volume
from tests.engine.container import wait_until
from tests.engine.deployment import Deployment
from tests.engine.operator import Operator, OperatorOcc
from tests.engine.ssh_server import SshServer, ssh_server

# It says nothing of its types.
pyrage: Any = import_module("pyrage")

WRITER = """
import sqlite3
c = sqlite3.connect("/workspace/busy.db", timeout=30, isolation_level=None)
c.execute("PRAGMA journal_mode = WAL")
c.execute("CREATE TABLE pairs (one, other)")
n = 0
while True:
    c.execute("BEGIN"); c.execute("INSERT INTO pairs VALUES (?, ?)", (n, n))
    c.execute("UPDATE pairs SET one = one + 1 WHERE rowid % 100 = 0")
    c.execute("UPDATE pairs SET other = other + 1 WHERE rowid % 100 = 0")
    c.execute("COMMIT"); n += 1
"""
COUNT = """
import sqlite3
c = sqlite3.connect("/workspace/busy.db")
assert c.execute("PRAGMA integrity_check").fetchone() == ("ok",)
count, equal = c.execute("SELECT count(*), sum(one = other) FROM pairs").fetchone()
assert count == equal > 0, (count, equal)
print(count)
"""


@pytest.fixture
def big(operated: Operator) -> Iterator[Operator]:
    """A workspace of which a backup takes long enough to be interrupted."""
    fill = "head -c 300M /dev/urandom > /workspace/big"
    operated.deployment.run("sh", "-c", fill, user="opencode")
    yield operated
    operated.deployment.run("rm", "-f", "/workspace/big")


@pytest.fixture(scope="module")
def saved(operated: Operator) -> Path:
    """A backup of the deployment as it is at first."""
    operated.deployment.put("/workspace/first.txt", "first")
    return Path(operated.occ("backup", "create", "--quiet").strip())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def far(operated: Operator, server: SshServer, tmp_path: Path) -> OperatorOcc:
    """The operator's occ, where the operator's ssh reaches the server."""
    path = f"{server.command(tmp_path / 'bin')}:{operated.environment['PATH']}"
    return replace(operated.occ, shell={**operated.environment, "PATH": path})


def new_session(deployment: Deployment, title: str) -> str:
    answer = requests.post(
        f"{deployment.url}/session", auth=deployment.basic, json={"title": title}, timeout=30
    )
    return answer.json()["id"]


def sessions(deployment: Deployment) -> dict[str, str]:
    return {one["id"]: one["title"] for one in deployment.get("/session").json()}


def destroy_with_data(operator: Operator) -> None:
    operator.deployment.container.remove(force=True)
    for volume in Volume:
        operator.client.volumes.get(f"opencode-{operator.stack}-{volume}").remove()


def helpers(operator: Operator) -> list[Container]:
    """What works on the operator's volumes besides the deployment."""
    found = operator.client.containers.list(
        filters={"label": "org.opencode-cloud.task", "volume": f"opencode-{operator.stack}-users"}
    )
    return [container for container in found if container.status == "running"]


def one_helper(operator: Operator) -> Container:
    wait_until(lambda: bool(helpers(operator)), 60)
    return helpers(operator)[0]


def folder(operator: Operator) -> Path:
    return operator.data / "backups" / operator.stack


def files(operator: Operator) -> list[str]:
    return sorted(path.name for path in folder(operator).iterdir())


def started(operator: Operator) -> str:
    return operator.deployment.container.attrs["State"]["StartedAt"]


def test_a_backup_of_a_working_deployment_brings_back_all_after_all_was_lost(operated: Operator):
    deployment = operated.deployment
    session = new_session(deployment, "Of before")
    deployment.put("/workspace/run.sh", "#!/bin/sh\necho kept\n")
    deployment.run("chmod", "0750", "/workspace/run.sh")
    deployment.run("ln", "-s", "run.sh", "/workspace/link", user="opencode")
    deployment.put("/workspace/writer.py", WRITER)
    deployment.start_process("python3", "/workspace/writer.py")
    wait_until(lambda: "busy.db" in deployment.run("ls", "/workspace"), 20)
    began = started(operated)
    made = json.loads(operated.occ("backup", "create", "--json"))
    assert made["notes"] == []
    assert made["encrypted"] is False
    assert Path(made["where"]).stat().st_mode & 0o777 == 0o600
    assert started(operated) == began, "it is not even restarted for it"
    new_session(deployment, "Of afterwards")
    destroy_with_data(operated)
    operated.occ("start")
    operated.deployment.wait_healthy()
    assert operated.occ("user", "list").startswith("Nobody can sign in yet")
    said = operated.occ("backup", "restore", made["name"], "--yes")
    assert f"Restored. opencode answers at {deployment.url}" in said
    assert sessions(operated.deployment)[session] == "Of before"
    assert "Of afterwards" not in sessions(operated.deployment).values()
    facts = operated.deployment.run("stat", "-c", "%a %U %G", "/workspace/run.sh")
    assert facts == "750 opencode opencode\n"
    assert operated.deployment.run("sh", "-c", "/workspace/link", user="opencode") == "kept\n"
    assert int(operated.deployment.run("python3", "-c", COUNT, user="opencode")) > 0
    operated.deployment.run("rm", "/workspace/busy.db", "/workspace/writer.py")


def test_backups_are_listed_and_verified(operated: Operator, saved: Path):
    listed = json.loads(operated.occ("backup", "list", "--json"))
    mine = next(each for each in listed if each["name"] == saved.name)
    assert mine["stack"] == operated.stack
    assert mine["size"] == saved.stat().st_size
    assert re.search(
        rf"[kM]B +plain +{operated.stack} +{saved.name}", operated.occ("backup", "list")
    )
    said = operated.occ("backup", "verify", saved.name)
    assert said.startswith("It is sound: ")
    manifest = json.loads(operated.occ("backup", "verify", saved.name, "--json"))
    assert "cache" not in manifest["volumes"]
    assert set(manifest["volumes"]) < {volume.value for volume in Volume}


def test_a_damaged_or_cut_off_backup_is_refused_and_nothing_is_touched(
    operated: Operator, saved: Path, tmp_path: Path
):
    began = started(operated)
    content = saved.read_bytes()
    at = content.index(b"volumes/workspace/first.txt")
    place = content.index(b"first", at + 512)
    wrong = {
        "damaged.tar": content[:place] + b"worst" + content[place + 5 :],
        "cut.tar": content[: len(content) // 2],
        "short.tar": content[: content.rindex(b'{"notes"')],
        "empty.tar": b"",
        "other.tar": b"something else" * 1000,
    }
    for name, changed in wrong.items():
        path = tmp_path / name
        path.write_bytes(changed)
        for words in (("verify", str(path)), ("restore", str(path), "--yes")):
            said = operated.occ.refused("backup", *words)
            assert "is no sound backup" in said
            if name == "damaged.tar":
                assert "volumes/workspace/first.txt (its content)" in said
    newer = tmp_path / "newer.tar"
    newer.write_bytes(content.replace(b'{"format":1,', b'{"format":2,', 1))
    assert "made by a newer opencode-cloud" in operated.occ.refused("backup", "verify", str(newer))
    assert started(operated) == began


def test_a_restore_is_not_made_without_a_yes(operated: Operator, saved: Path):
    began = started(operated)
    said = operated.occ.refused("backup", "restore", saved.name)
    assert f"All data of {operated.stack} (sessions, projects, settings, users" in said
    assert f"Say so: occ --host {operated.stack} backup restore {saved.name} --yes" in said
    with operated.occ.on_terminal("backup", "restore", saved.name) as terminal:
        assert "What came after is lost" in terminal.expect("Restore it? [y/N] ")
        terminal.press("n\n")
        assert terminal.ends() == 1
    assert started(operated) == began


def test_a_stopped_deployment_and_one_without_a_container_are_backed_up_and_restored(
    operated: Operator, saved: Path
):
    operated.occ("stop")
    made = Path(operated.occ("backup", "create", "--quiet").strip())
    said = operated.occ("backup", "restore", made.name, "--yes")
    assert f"to start it: occ --host {operated.stack} start" in said
    operated.deployment.container.remove()
    time.sleep(1)
    again = Path(operated.occ("backup", "create", "--quiet").strip())
    assert again != made
    said = operated.occ("backup", "restore", saved.name, "--yes")
    assert f"to start it: ./start --stack {operated.stack}" in said
    operated.occ("start")
    operated.deployment.wait_healthy()
    assert operated.occ("shell", "cat", "/workspace/first.txt") == "first"
    assert "ada" in operated.occ("user", "list")


def test_who_is_signed_in_stays_so_and_no_old_sign_in_comes_back(operated: Operator, saved: Path):
    deployment = operated.deployment
    key = "SELECT count(*) FROM sessions"
    look = (
        "import sqlite3; c = sqlite3.connect('/var/lib/opencode-cloud/users/sessions/sessions.db');"
        f" print(c.execute('{key}').fetchone()[0])"
    )
    browser = requests.Session()
    page = browser.get(f"{deployment.url}/_gateway/login", timeout=10)
    form = dict(re.findall(r'name="(csrf|next)" value="([^"]*)"', page.text))
    form |= {"username": deployment.basic[0], "password": deployment.basic[1]}
    browser.post(f"{deployment.url}/_gateway/login", data=form, timeout=10)
    assert browser.get(f"{deployment.url}/global/health", timeout=10).status_code == 200
    before = deployment.run("python3", "-c", look)
    with_it = Path(operated.occ("backup", "create", "--quiet").strip())
    assert b"sessions.db" not in with_it.read_bytes()
    operated.occ("backup", "restore", saved.name, "--yes")
    assert browser.get(f"{deployment.url}/global/health", timeout=10).status_code == 200
    assert deployment.run("python3", "-c", look) == before


def test_interrupted_it_leaves_nothing(big: Operator):
    before = files(big)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
        begun = big.occ.begin("backup", "create")
        wait_until(lambda: len(files(big)) > len(before), 60)
        helper = one_helper(big)
        _is_confined(helper, "DAC_OVERRIDE", "SETGID", "SETUID")
        mounts = {mount["Destination"]: mount["RW"] for mount in helper.attrs["Mounts"]}
        assert [where for where, writable in mounts.items() if writable] == ["/tmp"]
        begun.send_signal(number)
        _, said = begun.communicate(timeout=60)
        assert begun.returncode == code
        assert b"nothing is left of it" in said
        assert files(big) == before
        wait_until(lambda: not helpers(big), 20)


def _is_confined(helper: Container, *capabilities: str) -> None:
    helper.reload()
    host = helper.attrs["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert {name.removeprefix("CAP_") for name in host["CapAdd"]} == set(capabilities)
    assert host["ReadonlyRootfs"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["LogConfig"]["Type"] == "none", "the archive is not in Docker's log"


def _interrupt(operator: Operator, helper: Container, occ: "subprocess.Popen[bytes]") -> None:
    _is_confined(helper, "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")
    occ.send_signal(signal.SIGINT)


def _kill(operator: Operator, helper: Container, occ: "subprocess.Popen[bytes]") -> None:
    helper.kill()


@pytest.mark.parametrize(
    ("harm", "code", "says"),
    [(_interrupt, 130, "as they were"), (_kill, 1, "it was ended from outside")],
)
def test_a_restore_that_fails_half_way_leaves_what_was_there(
    big: Operator,
    harm: Callable[[Operator, Container, "subprocess.Popen[bytes]"], None],
    code: int,
    says: str,
):
    backup = Path(big.occ("backup", "create", "--quiet").strip())
    session = new_session(big.deployment, "Since then")
    big.deployment.put("/workspace/since.txt", "since then")
    before = big.deployment.run("find", "/workspace", "-printf", "%p %m %U %G %s %T@\\n")
    begun = big.occ.begin("backup", "restore", backup.name, "--yes")
    helper = one_helper(big)
    wait_until(lambda: _staged(big), 60)
    harm(big, helper, begun)
    _, said = begun.communicate(timeout=120)
    assert begun.returncode == code, said
    assert says in said.decode()
    backup.unlink()
    big.deployment.wait_healthy()
    after = big.deployment.run("find", "/workspace", "-printf", "%p %m %U %G %s %T@\\n")
    # Something of ours came and went in the folder itself.
    assert after.splitlines()[1:] == before.splitlines()[1:]
    assert sessions(big.deployment)[session] == "Since then"
    assert not helpers(big)


def _staged(operator: Operator) -> bool:
    """Whether the helper has begun to write what is to be restored."""
    found = operator.client.volumes.get(f"opencode-{operator.stack}-workspace").attrs["Mountpoint"]
    return any(Path(found).glob(".opencode-cloud-restore-*/new/*"))


def test_a_restore_that_a_power_failure_cut_off_is_undone_at_the_next_start(operated: Operator):
    deployment = operated.deployment
    session = new_session(deployment, "Before the failure")
    identifier = ".opencode-cloud-restore-0123456789abcdef"
    operated.occ("stop")
    data = Path(operated.client.volumes.get(f"opencode-{operated.stack}-data").attrs["Mountpoint"])
    users = data.parents[1] / f"opencode-{operated.stack}-users" / "_data"
    for volume in (users, data):
        (volume / identifier).mkdir(mode=0o700)
    # All was taken from this volume, and nothing given yet.
    facts = data.stat()
    (data / identifier / "old").mkdir()
    os.chown(data / identifier / "old", facts.st_uid, facts.st_gid)
    for path in list(data.iterdir()):
        if path.name != identifier:
            path.rename(data / identifier / "old" / path.name)
    assert "half exchanged" in operated.occ.refused("backup", "create")
    operated.occ("start")
    assert "undid a restore that was cut off" in operated.occ("logs", "--since", "5m")
    assert sessions(operated.deployment)[session] == "Before the failure"
    assert not (data / identifier).exists()
    assert not (users / identifier).exists()


def test_only_so_many_are_kept_and_others_are_not_touched(operated: Operator, tmp_path: Path):
    for name in ("notes.txt", f"{operated.stack}-more-20200101T000000Z.tar"):
        (tmp_path / name).write_text("not ours to remove")
    (tmp_path / f"{operated.stack}-20200101T000000Z.tar").write_text("the oldest")
    first = operated.occ("backup", "create", "--quiet", "--to", str(tmp_path))
    time.sleep(1.1)
    said = operated.occ("backup", "create", "--to", str(tmp_path), "--keep", "2")
    assert f"Removed the older {operated.stack}-20200101T000000Z.tar." in said
    assert len(list(tmp_path.iterdir())) == 4
    assert Path(first.strip()).exists()


def test_an_encrypted_one_opens_with_its_key_alone(operated: Operator, tmp_path: Path):
    deployment = operated.deployment
    deployment.put("/workspace/marker.txt", "plain-text-marker")
    mine, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    key, wrong = tmp_path / "key", tmp_path / "wrong"
    key.write_text(f"# created: today\n{mine}\n")
    wrong.write_text(f"{other}\n")
    place = tmp_path / "place"
    made = Path(
        operated.occ(
            *("backup", "create", "--quiet", "--to", str(place)),
            *("--encrypt-to", str(mine.to_public())),
        ).strip()
    )
    assert made.name.endswith(".tar.age")
    assert b"plain-text-marker" not in made.read_bytes()
    assert pyrage.decrypt(made.read_bytes(), [mine]).count(b"plain-text-marker") == 1
    assert "--identity FILE" in operated.occ.refused("backup", "verify", str(made))
    said = operated.occ.refused("backup", "restore", str(made), "--identity", str(wrong), "--yes")
    assert "does not open this backup" in said
    assert str(other) not in said
    operated.occ("backup", "verify", str(made), "--identity", str(key))
    cut = place / "cut.tar.age"
    cut.write_bytes(made.read_bytes()[:-100])
    said = operated.occ.refused("backup", "verify", str(cut), "--identity", str(key))
    assert "damaged or was cut off" in said
    deployment.run("rm", "/workspace/marker.txt")
    operated.occ("backup", "restore", str(made), "--identity", str(key), "--yes")
    assert operated.occ("shell", "cat", "/workspace/marker.txt") == "plain-text-marker"


def test_an_ssh_key_opens_one_too(operated: Operator, server: SshServer, tmp_path: Path):
    words = ("--encrypt-to", str(server.folder / "client.pub"), "--to", str(tmp_path))
    made = operated.occ("backup", "create", "--quiet", *words).strip()
    operated.occ("backup", "verify", made, "--identity", str(server.folder / "client"))
    said = operated.occ.refused(
        "backup", "verify", made, "--identity", str(server.folder / "locked")
    )
    assert "without a passphrase" in said
    said = operated.occ.refused("backup", "create", "--encrypt-to", "age1nonsense")
    assert "is no public key to encrypt to" in said


def test_a_folder_over_ssh_is_as_good_as_one_here(
    operated: Operator, far: OperatorOcc, server: SshServer, tmp_path: Path
):
    remote = tmp_path / "of the backups"
    place = f"ssh://127.0.0.1:{server.port}{remote}".replace(" ", "%20")
    made = far("backup", "create", "--quiet", "--to", place).strip()
    [file] = remote.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert made.endswith(file.name)
    [listed] = json.loads(far("backup", "list", "--in", place, "--json"))
    assert listed["size"] == file.stat().st_size
    url = f"{place}/{file.name}"
    assert "It is sound" in far("backup", "verify", url)
    operated.deployment.put("/workspace/later.txt", "later")
    far("backup", "restore", url, "--yes")
    assert "later.txt" not in operated.deployment.run("ls", "/workspace")
    time.sleep(1.1)
    assert "Removed the older" in far("backup", "create", "--to", place, "--keep", "1")
    assert len(list(remote.iterdir())) == 1
    assert "No such file" in far.refused("backup", "verify", f"{place}/missing.tar")


def test_a_server_that_is_not_known_or_cannot_write_leaves_nothing(
    operated: Operator, far: OperatorOcc, server: SshServer, tmp_path: Path
):
    # The operator's own ssh has never heard of it, and nobody is asked.
    unknown = operated.occ.refused("backup", "create", "--to", f"ssh://127.0.0.1:{server.port}/x")
    assert "cannot be used: " in unknown
    (tmp_path / "file").touch()
    said = far.refused("backup", "create", "--to", f"ssh://127.0.0.1:{server.port}{tmp_path}/file")
    assert "cannot be used: " in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "file"]


def test_interrupted_over_ssh_it_leaves_nothing_there(
    big: Operator, far: OperatorOcc, server: SshServer, tmp_path: Path
):
    remote = tmp_path / "remote"
    begun = far.begin("backup", "create", "--to", f"ssh://127.0.0.1:{server.port}{remote}")
    wait_until(lambda: remote.exists() and any(remote.iterdir()), 60)
    begun.send_signal(signal.SIGINT)
    _, said = begun.communicate(timeout=60)
    assert begun.returncode == 130, said
    assert list(remote.iterdir()) == []


def test_it_moves_to_another_stack_with_its_users(
    operated: Operator, saved: Path, docker_client: docker.DockerClient
):
    other = f"{operated.stack}-moved"[-30:].lstrip("-")
    try:
        said = operated.occ(
            *("--host", other, "backup", "restore", str(saved), "--yes"),
        )
        assert f"to start it: ./start --stack {other}" in said
        users = docker_client.volumes.get(f"opencode-{other}-users")
        assert (users.attrs["Labels"] or {})["org.opencode-cloud.stack"] == other
        accounts = Path(users.attrs["Mountpoint"]) / "accounts"
        assert accounts.stat().st_mode & 0o777 == 0o700
        assert (accounts / "passwd").read_text().startswith("ada:")
    finally:
        for volume in Volume:
            docker_client.volumes.get(f"opencode-{other}-{volume}").remove()


def test_what_does_not_exist_is_said_in_words(operated: Operator):
    assert "To see them: occ" in operated.occ.refused("backup", "verify", "nothing.tar")
    assert "cannot be read" in operated.occ.refused("backup", "restore", "/nothing.tar", "--yes")
    said = operated.occ.refused("--host", "nobody", "backup", "create")
    assert "There are no data of a deployment 'nobody'" in said
    assert operated.occ("backup", "list", "--in", "/nothing").startswith("None in /nothing.")
