"""A service unit on a real host: what it survives, what ends it, and that it is the only one.

The tests build on each other: one host, one deployment, from its first unit to its last.
"""

import json
import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.container import wait_until
from tests.engine.deployment import PASSWORD, USER
from tests.engine.stack import PulumiFailedError
from tests.machine.conftest import RemoteOperator

DELAY = 3
SECONDS = 90
"""What a start may take here; also that of the host."""
HOGS = 'for each in 1 2 3 4 5 6 7 8; do python3 -c "$0" & done; wait'
"""Together they want more than the container may use, and each is smaller than opencode."""
HOG = "import time; x = bytearray(150 * 2**20); time.sleep(20)"


class Unit:
    """The unit, as the host and the operator see it."""

    def __init__(self, remote: RemoteOperator) -> None:
        self.remote, self.there, self.occ = remote, remote.there, remote.occ
        self.name = f"opencode-cloud-service-{remote.stack}"
        self.container = f"opencode-{remote.stack}"
        self.file = f"/home/ada/.config/systemd/user/{self.name}.service"
        self.system_file = f"/etc/systemd/system/{self.name}.service"

    def inspect(self) -> dict[str, Any]:
        return json.loads(self.there.as_root(f"docker inspect {self.container}"))[0]

    @property
    def started(self) -> str:
        return self.inspect()["State"]["StartedAt"]

    @property
    def runs(self) -> bool:
        return self.inspect()["State"]["Running"]

    def ask(self, path: str, *words: str) -> str:
        """Ask opencode as its user, from the host."""
        port = self.inspect()["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"]
        command = ("curl", "-sf", "-u", f"{USER}:{PASSWORD}", *words)
        return self.there.as_root(shlex.join([*command, f"http://127.0.0.1:{port}{path}"]))

    def is_healthy(self) -> bool:
        port = self.inspect()["HostConfig"]["PortBindings"]["8080/tcp"][0]["HostPort"]
        return self.there.run(f"curl -sf http://127.0.0.1:{port}/health", user="root").code == 0

    def wait_healthy(self) -> None:
        wait_until(self.is_healthy, SECONDS, self.journal)

    def status(self) -> dict[str, Any]:
        return json.loads(self.occ.attempt("status", "--json").stdout)

    def shown(self) -> dict[str, Any]:
        return self.status()["boot"]["unit"]

    def finding(self) -> dict[str, Any]:
        """What occ doctor says of units."""
        report = json.loads(self.occ.attempt("doctor", "--json").stdout)
        return next(each for each in report["findings"] if each["check"] == "deployment.unit")

    def journal(self) -> str:
        return self.there.run(f"journalctl -t {self.name} --no-pager | tail -30", user="root").out

    def kill(self) -> None:
        """Kill the container's main process, as the kernel might."""
        pid = self.inspect()["State"]["Pid"]
        self.there.as_root(f"kill -9 {pid}")

    def nobody_is_signed_in(self) -> bool:
        return self.there.as_root("loginctl list-sessions --no-legend | grep -v manager || :") == ""

    def lingers(self) -> bool:
        return self.there.run("test -e /var/lib/systemd/linger/ada").code == 0

    def files(self) -> list[str]:
        """Every unit that there is."""
        found = self.there.run(f"ls {self.file} {self.system_file} 2> /dev/null", user="root")
        return found.out.split()


@pytest.fixture(scope="module")
def bare(remote: RemoteOperator) -> Unit:
    """A deployment whose unit is yet to come."""
    for setting, value in (("restart-delay", str(DELAY)), ("memory-mb", "1024")):
        remote.occ("config", "set", setting, value, "--apply", "--yes")
    return Unit(remote)


@pytest.fixture(scope="module")
def unit(bare: Unit) -> Unit:
    """A deployment with a unit."""
    bare.occ("install", "--yes")
    return bare


@pytest.fixture(scope="module")
def session(unit: Unit) -> str:
    """What somebody has made in it."""
    unit.wait_healthy()
    made = unit.ask("/session", "-X", "POST", "-H", "content-type: application/json", "-d", "{}")
    return json.loads(made)["id"]


@pytest.fixture
def docker_is_late(unit: Unit) -> Iterator[None]:
    """A host that does not start Docker by itself."""
    unit.there.as_root("systemctl disable --quiet docker.service docker.socket")
    yield
    unit.there.as_root("systemctl enable --quiet docker.service docker.socket")


@pytest.mark.parametrize("mode", ["user", "system"])
def test_systemd_has_nothing_to_say_against_the_unit(bare: Unit, mode: str):
    text = bare.occ("install", "--dry-run", "--boot-mode", mode)
    file = f"/tmp/{mode}/opencode-cloud-service-test.service"
    write = f"mkdir -p /tmp/{mode} && printf %s {shlex.quote(text)} > {file}"
    checked = bare.there.run(
        f"{write} && XDG_RUNTIME_DIR=/tmp systemd-analyze verify --{mode} {file}"
    )
    assert (checked.code, checked.out) == (0, "")
    assert bare.files() == [], "a dry run writes nothing"


def test_a_user_who_may_not_linger_is_told_what_to_do(bare: Unit):
    bare.there.as_root("mv /etc/sudoers.d/ada /root/sudoers-ada")
    try:
        said = bare.occ.refused("install", "--yes")
    finally:
        bare.there.as_root("mv /root/sudoers-ada /etc/sudoers.d/ada")
    assert "sudo loginctl enable-linger ada" in said
    assert bare.files() == []
    assert bare.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.mark.parametrize(
    ("mode", "hide", "words"),
    [
        ("system", "/etc/sudoers.d/ada", "may not become root here without a password"),
        ("user", "/etc/sudoers.d/ada", "sudo loginctl enable-linger ada"),
        # As sd_booted(3) asks.
        ("user", "/run/systemd/system", "does not run systemd"),
    ],
)
def test_plain_pulumi_leaves_docker_its_work_where_the_host_refuses_the_unit(
    bare: Unit, mode: str, hide: str, words: str
):
    stack = bare.remote.deployment.stack
    before = bare.inspect()["Id"], bare.started
    for setting, value in (("service-unit", "true"), ("boot-mode", mode)):
        bare.occ("config", "set", setting, value)
    bare.there.as_root(f"mv {hide} {hide}.hidden")
    try:
        with pytest.raises(PulumiFailedError, match=words):
            stack.up()
    finally:
        bare.there.as_root(f"mv {hide}.hidden {hide}")
        for setting in ("service-unit", "boot-mode"):
            bare.occ("config", "unset", setting)
    assert (bare.inspect()["Id"], bare.started) == before
    assert bare.files() == []
    bare.kill()
    # By Docker itself.
    wait_until(lambda: bare.runs and bare.started != before[1], SECONDS, bare.journal)


def test_a_unit_takes_over_what_runs_and_is_the_only_one_that_restarts_it(bare: Unit):
    before = bare.started
    bare.occ("install", "--yes")
    assert bare.started == before, "nobody was interrupted"
    assert bare.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "no"
    shown = bare.shown()
    expected = {"mode": "user", "file": bare.file, "enabled": True, "state": "active"}
    assert shown == expected | {"restarts": 0, "linger": True, "gave_up": False}
    assert bare.finding()["outcome"] == "ok"
    assert bare.occ("start").startswith("It runs")
    assert "Nothing was changed" in bare.occ("install", "--yes")
    assert bare.started == before


def test_a_killed_container_is_back_after_the_delay(unit: Unit, session: str):
    before = unit.started
    killed = time.monotonic()
    unit.kill()
    wait_until(lambda: not unit.runs, 10, unit.journal)
    wait_until(lambda: unit.runs, SECONDS, unit.journal)
    assert time.monotonic() - killed >= DELAY
    unit.wait_healthy()
    assert unit.started != before
    assert unit.shown()["restarts"] == 1
    assert f"{unit.container} ended with exit code 137: restart 1 of 3" in unit.journal()
    assert session in unit.ask("/session")


def test_it_starts_with_the_host_though_nobody_signs_in(unit: Unit, session: str):
    unit.there.restart()
    unit.wait_healthy()
    assert unit.nobody_is_signed_in()
    assert session in unit.ask("/session")


@pytest.mark.usefixtures("docker_is_late")
def test_it_waits_for_docker_after_a_power_failure(unit: Unit, session: str):
    unit.there.power_off()
    unit.there.container.start()
    unit.there.wait_booted()
    waits = f"{unit.name}.*waiting for Docker"
    journal = f"journalctl -b -t {unit.name} | grep -q {shlex.quote(waits)}"
    wait_until(lambda: unit.there.run(journal, user="root").code == 0, SECONDS, unit.journal)
    unit.there.as_root("systemctl start docker")
    unit.wait_healthy()
    assert unit.nobody_is_signed_in()
    assert session in unit.ask("/session")


def test_what_was_stopped_by_hand_stays_so_over_a_reboot_until_it_is_started(unit: Unit):
    unit.occ("stop")
    assert not unit.runs
    assert unit.shown()["state"] == "inactive"
    unit.there.restart()
    status = unit.status()
    assert (status["state"], status["boot"]["starts_at_boot"]) == ("exited", False)
    unit.occ("start")
    assert unit.status()["boot"]["starts_at_boot"] is True
    assert unit.shown()["state"] == "active"


def test_memory_that_is_used_up_ends_in_a_restart_and_not_in_a_dead_host(unit: Unit):
    def process() -> str:
        read = "cat /run/opencode-cloud/opencode.started"
        return unit.there.as_root(f"docker exec {unit.container} {read}")

    unit.wait_healthy()
    before = process()
    words = ("docker", "exec", "--user", "opencode", unit.container, "sh", "-c", HOGS, HOG)
    unit.there.as_root(shlex.join(words))
    assert process() != before, "the kernel ends the largest"
    unit.wait_healthy()
    assert "of 1024 MiB" in unit.occ("status")
    assert unit.there.as_root("systemctl is-active docker ssh").split() == ["active", "active"]


def test_a_unit_whose_retries_are_used_up_says_so_and_goes_on_when_it_is_told_to(unit: Unit):
    before = unit.started
    for setting in (("restart-retries", "1"), ("restart-delay", "1")):
        unit.occ("config", "set", *setting, "--apply", "--yes")
    assert unit.started == before, "another unit interrupts nobody"

    def gave_up() -> bool:
        if unit.runs:
            unit.kill()
        return unit.there.run(f"journalctl -t {unit.name} | grep -q 'given up'").code == 0

    wait_until(gave_up, SECONDS, unit.journal)
    assert f"{unit.container} ended with exit code 137, after 1 restarts in a row" in unit.journal()
    status = unit.status()
    assert status["state"] == "exited"
    assert status["reason"] == "it ended too often in a row, and its unit gave up"
    assert (unit.shown()["state"], unit.shown()["gave_up"]) == ("failed", True)
    assert f"occ --host {unit.remote.stack} start" in unit.occ.attempt("status").stdout.decode()
    found = unit.finding()
    assert (found["outcome"], found["mend"].endswith(" start")) == ("problem", True)
    unit.occ("start")
    assert unit.shown()["state"] == "active"
    unit.wait_healthy()


def test_another_container_gets_the_unit_of_the_one_before(unit: Unit, session: str):
    old = unit.inspect()["Id"]
    unit.occ("config", "set", "port", "4097", "--apply", "--yes")
    assert unit.inspect()["Id"] != old
    assert unit.files() == [unit.file]
    shown = unit.shown()
    assert (shown["state"], shown["enabled"], shown["restarts"]) == ("active", True, 0)
    assert unit.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert session in unit.ask("/session")
    unit.kill()
    wait_until(lambda: not unit.runs, 10, unit.journal)
    unit.wait_healthy()


def test_two_that_restart_it_are_found_by_the_doctor(unit: Unit):
    unit.there.as_root(f"docker update --restart always {unit.container}")
    found = unit.finding()
    assert found["outcome"] == "problem"
    assert unit.file in found["what"]
    assert "Docker (always)" in found["what"]
    unit.there.as_root(f"docker update --restart no {unit.container}")
    assert unit.finding()["outcome"] == "ok"


def test_the_machines_own_unit_takes_the_place_of_the_users(unit: Unit):
    before = unit.started
    assert unit.lingers()
    unit.occ("install", "--boot-mode", "system", "--yes")
    assert unit.started == before
    assert unit.files() == [unit.system_file]
    assert not unit.lingers(), "that was for the unit alone"
    assert (unit.shown()["mode"], unit.shown()["state"]) == ("system", "active")
    unit.kill()
    wait_until(lambda: not unit.runs, 10, unit.journal)
    unit.wait_healthy()


def test_without_its_unit_it_runs_on_and_docker_restarts_it(unit: Unit):
    before = unit.started
    unit.occ("uninstall", "--unit", "--yes")
    assert unit.started == before
    assert unit.files() == []
    assert unit.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert unit.shown() is None


def test_the_stacks_end_is_the_units(unit: Unit):
    # Somebody else's wish, which is not ours to undo.
    unit.there.as_root("loginctl enable-linger ada")
    unit.occ("install", "--yes")
    assert unit.files() == [unit.file]
    unit.remote.deployment.stack.destroy()
    assert unit.files() == []
    assert unit.there.as_root("docker ps --all --quiet") == ""
    assert unit.lingers()
