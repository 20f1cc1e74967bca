"""One command on several hosts, one of which is dead."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import jsonschema
import pytest
from docker.models.networks import Network

from opencode_cloud.json_schemas import schema
from tests.machine import fleet as fleets
from tests.machine.fleet import Fleet

LIVE = ("alpha", "beta")
DEAD = "gone"
SECONDS = 120


@pytest.fixture(scope="module")
def fleet(
    *,
    root: Path,
    docker_client: docker.DockerClient,
    network: Network,
    archive: Path,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with fleets.fleet(
        root=root,
        folder=folder,
        client=docker_client,
        network=network,
        archive=archive,
        image=image,
        names=LIVE,
    ) as made:
        first = made.hosts["alpha"]
        nobody = f"ada@{first.address.rpartition('.')[0]}.250"
        made.add(DEAD, fleets.settings(DEAD, first) | {"ssh_host": nobody})
        for name, groups in (("alpha", "web,eu"), ("beta", "web")):
            made.occ("--host", name, "config", "set", "groups", groups)
        yield made


@pytest.fixture(scope="module")
def up(fleet: Fleet) -> Fleet:
    """Both live hosts' deployments are up, by one command."""
    done = fleet.occ.attempt("--group", "web", "start")
    assert done.returncode == 0, done
    said, told = done.stdout.decode(), done.stderr.decode()
    for name in LIVE:
        assert re.search(rf"^{name:<5} \| Applied: \d+ resources changed", said, re.MULTILINE), said
        assert re.search(rf"^{name} +done +\d+\.\d$", told, re.MULTILINE), told
    assert "2 done (" in told
    return fleet


def test_every_line_says_whose_it_is_and_the_dead_host_spoils_nothing_but_the_exit_code(up: Fleet):
    done = up.occ.attempt("--all", "shell", "hostname")
    assert done.returncode == 1, done
    said, told = done.stdout.decode(), done.stderr.decode()
    assert sorted(said.splitlines()) == ["alpha | opencode-alpha", "beta  | opencode-beta"]
    assert re.search(r"^gone  \| occ: .*cannot be reached over SSH", told, re.MULTILINE), told
    assert re.search(r"^gone +failed +\d+\.\d +.*cannot be reached over SSH", told, re.MULTILINE), (
        told
    )
    assert "2 done, 1 failed (" in told
    assert "Traceback" not in told


def test_json_has_what_each_came_to_under_its_name(up: Fleet):
    code, found = up.json("--all", "status")
    jsonschema.validate(found, schema("side-by-side"))
    assert code == 1
    assert list(found) == ["alpha", "beta", "gone"]
    for name in LIVE:
        assert (found[name]["exit_code"], found[name]["error"]) == (0, "")
        assert found[name]["result"]["health"] == "healthy"
    assert found[DEAD]["result"] is None
    assert "cannot be reached over SSH" in found[DEAD]["error"]


def test_a_command_has_its_effect_on_those_that_are_named_and_no_other(up: Fleet):
    up.occ("--group", "eu", "stop")
    assert up.hosts["alpha"].as_root("docker ps -q") == ""
    assert up.hosts["beta"].as_root("docker ps -q") != ""
    up.occ("--host", "alpha", "--host", "beta", "start")
    assert up.hosts["alpha"].as_root("docker ps -q") != ""


def test_what_is_piped_in_reaches_each_of_them(up: Fleet):
    up.occ(
        *("--group", "web", "user", "add", "grace", "--password-stdin"),
        stdin=b"correct horse battery staple\n",
    )
    _, found = up.json("--group", "web", "user", "list")
    assert all("grace" in [u["name"] for u in found[name]["result"]] for name in LIVE), found


def test_however_many_commands_share_one_connection_to_a_host(up: Fleet):
    for _ in range(2):
        up.occ("--group", "web", "status")
        up.occ("--group", "web", "shell", "true")
    assert up.connections() == dict.fromkeys(LIVE, 1)


def test_nobody_is_asked_and_what_destroys_needs_a_yes(up: Fleet):
    done = up.occ.attempt("--group", "web", "uninstall")
    assert done.returncode == 1
    told = done.stderr.decode()
    assert told.count("There is nobody to ask") == 4, told
    assert "2 failed" in told
    for name in LIVE:
        assert up.hosts[name].as_root("docker ps -q") != ""
    assert "has each stack's name typed" in up.occ.refused("--all", "uninstall", "--data", "--yes")


def test_a_terminal_shows_a_line_for_each_while_they_work(up: Fleet):
    with up.occ.on_terminal("--group", "web", "restart") as terminal:
        terminal.expect("alpha |")
        assert " s  " in terminal.expect("\x1b[2K")
        terminal.expect("opencode answers at", SECONDS)
        terminal.expect("2 done (", SECONDS)
        assert terminal.ends() == 0


def test_ctrl_c_ends_all_of_them_in_order_and_says_how_they_are(up: Fleet):
    up.occ("--group", "web", "config", "set", "memory_mb", "2100")
    process = up.occ.begin("--parallel", "1", "--group", "web", "start")
    wait_until_applying(up, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    told = err.decode()
    assert process.returncode == 130, (out, told)
    assert "Ending in order: alpha" in told
    assert re.search(r"^alpha +stopped ", told, re.MULTILINE), told
    assert re.search(r"^beta +not begun ", told, re.MULTILINE), told
    assert "Interrupted: 1 stopped, 1 not begun" in told
    assert "Traceback" not in told
    up.occ("--group", "web", "start")
    for name in LIVE:
        limit = "docker inspect -f '{{.HostConfig.Memory}}' " + f"opencode-{name}"
        assert up.hosts[name].as_root(limit).strip() == str(2100 * 1024 * 1024)


def wait_until_applying(up: Fleet, process: "subprocess.Popen[bytes]") -> None:
    """Wait until Pulumi has taken its lock on the first stack."""
    locks = up.operator.data / "state" / ".pulumi" / "locks"
    deadline = time.monotonic() + SECONDS
    while not list(locks.rglob("opencode/alpha/*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "Pulumi did not begin"
        time.sleep(0.05)
