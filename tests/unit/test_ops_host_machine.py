"""What a host is, asked by a script and judged as this machine is."""

import socket
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from opencode_cloud.ops import boot, doctor_facts
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.doctor_checks import host
from opencode_cloud.ops.doctor_checks.finding import problem
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.hosts.look import Look, look
from opencode_cloud.ops.shells import Done, LocalShell
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.ssh import SshAddress, SshFiles
from opencode_cloud.start.paths import Paths
from tests.unit.probe_parts import TEXT

GIB = 2**30
FILES = SshFiles(known_hosts=Path("/k"), control=Path("/c"), docker=Path("/d"))


@dataclass(frozen=True)
class Saying(Ssh):
    """A host that says one thing; empty: what this machine would."""

    said: str = ""
    scripts: list[str] = field(default_factory=list)

    def run(self, script: str, *, stdin: str = "", seconds: float = 60) -> Done:
        self.scripts.append(script)
        if self.said:
            return Done(0, self.said, "")
        return LocalShell().run(script, stdin=stdin, seconds=seconds)


def box(said: str = "", socket: str = "/var/run/docker.sock") -> DockerHost:
    ssh = Saying(SshAddress(stack="box", host="box", user="ada"), FILES, said)
    return DockerHost("box", socket, ssh)


def seen(text: str = "", socket: str = "/nowhere.sock") -> Look:
    there = box(text)
    assert there.ssh
    return look(there.ssh, 4096, socket)


def test_the_probe_finds_what_this_process_finds(tmp_path: Path):
    told = seen()
    known = doctor_facts.machine(Paths(root=tmp_path, data=tmp_path, cache=tmp_path))
    assert (told.facts.system, told.facts.os.name) == (known.system, known.name)
    assert told.facts.memory == known.memory
    assert abs(told.skew) < 60


def test_what_is_no_answer_is_an_error():
    with pytest.raises(OperationError, match="runs no commands as asked: nonsense"):
        seen("nonsense")


def test_a_host_is_judged_as_one_that_is_to_be_added():
    now = TEXT.replace("1795541057", str(int(time.time())))
    found = {each.check: each for each in host.check("ada@box", seen(now), "box", GIB)}
    assert list(found) == [
        f"host.{name}" for name in ("reach", "system", "room", "memory", "clock")
    ]
    assert {each.outcome for each in found.values()} == {"ok"}
    late = replace(seen(now), skew=-3600)
    found = {each.check: each for each in host.check("ada@box", late, "box", 9 * GIB)}
    assert found["host.clock"].what == "its clock is 3600 s behind this machine's"
    assert found["host.memory"].outcome == "warning"


def test_a_command_for_the_host_says_so():
    there = problem("docker.socket", "what", "why", "sudo systemctl start docker")
    assert host.on_host(there, "ada@box").mend == "on ada@box: sudo systemctl start docker"
    for same in (
        replace(there, check="pulumi.passphrase", mend="chmod 600 x"),
        replace(there, mend="occ --host box start"),
    ):
        assert host.on_host(same, "ada@box") == same


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ada\nclosed\n", "On ada@box: sudo usermod -aG docker ada"),
        ("ada\nmissing\n", "On ada@box: sudo systemctl enable --now docker"),
        ("ada\n", "On ada@box: sudo journalctl -u docker"),
    ],
)
def test_why_a_hosts_engine_is_silent_is_asked_there(said: str, words: str):
    assert words in box(said)._why_silent()


def test_the_socket_is_what_is_looked_at_there(tmp_path: Path):
    there = box(socket=str(tmp_path / "a b"))
    assert "systemctl enable" in there._why_silent()


@pytest.mark.parametrize(("said", "enabled"), [("yes\n", True), ("no\n", False), ("\n", None)])
def test_whether_docker_comes_back_is_asked_of_the_host(said: str, enabled: bool | None):
    assert boot.docker_is_enabled_on(box(said)) is enabled
    assert boot.docker_is_enabled_on(box(said, "/run/user/7/docker.sock")) is None


def test_docker_runs_on_the_host_by_its_own_command():
    assert DockerHost("local", "/d").docker("ps") == ("docker", "ps")
    assert box().docker("ps", "-a")[-1] == "docker ps -a"
    rootless = box(socket="/run/user/7/docker.sock")
    assert rootless.docker("ps")[-1] == "docker --host unix:///run/user/7/docker.sock ps"


@pytest.mark.parametrize("reads", [False, True], ids=["it is reset", "it is closed"])
def test_an_engine_that_says_nothing_at_all_is_explained(tmp_path: Path, reads: bool):
    path = tmp_path / "d.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def close() -> None:
            connection, _ = server.accept()
            if reads:
                connection.recv(65536)
            connection.close()

        closing = threading.Thread(target=close)
        closing.start()
        engine = Engine(str(path), where="/d.sock of ada@box", silence=lambda: "It sleeps.")
        with pytest.raises(EngineError, match=r"answers at /d\.sock of ada@box\. It sleeps\."):
            engine.get("/version")
        closing.join()
