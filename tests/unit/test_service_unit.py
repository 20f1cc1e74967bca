"""The service unit as text, and its scripts on stand-ins for Docker and launchd."""

import os
import plistlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from opencode_cloud.configuration import SettingsError, load
from opencode_cloud.ops import lifecycle, service_unit
from opencode_cloud.ops.service_unit import HostUnit, read
from opencode_cloud.ops.shells import Done, LocalShell
from opencode_cloud.spec.container import container_spec
from opencode_cloud.spec.service_unit.host import host_script
from opencode_cloud.spec.service_unit.launchd import launchd_agent
from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec, part, service_unit_spec
from opencode_cloud.spec.service_unit.systemd import systemd_unit
from opencode_cloud.spec.service_unit.windows import NAMESPACE, register, unregister, windows_task
from tests.mac import a_mac
from tests.unit.cli_parts import STOPPED, container, deployment

WITH_UNIT = {"image_source": "build", "service_unit": "true"}
GIVEN_UP = 75


def spec(**settings: str) -> ServiceUnitSpec:
    made = service_unit_spec(load(WITH_UNIT | settings, "local"), "local")
    assert made
    return made


def values(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


# --- settings ---------------------------------------------------------------


def test_docker_restarts_it_unless_a_unit_does():
    without = load({"image_source": "build"}, "local")
    assert service_unit_spec(without, "local") is None
    assert container_spec(without, "local").restart == "unless-stopped"
    assert container_spec(load(WITH_UNIT, "local"), "local").restart == "no"


@pytest.mark.parametrize("policy", ["always", "on-failure:3"])
def test_a_policy_of_dockers_beside_the_unit_is_refused(policy: str):
    with pytest.raises(SettingsError, match="two would do it") as caught:
        load(WITH_UNIT | {"restart_policy": policy}, "local")
    assert "pulumi config rm opencode:restart_policy" in str(caught.value)


@pytest.mark.parametrize("policy", ["unless-stopped", "no"])
def test_a_policy_that_says_nothing_else_is_none(policy: str):
    assert load(WITH_UNIT | {"restart_policy": policy}, "local").service_unit


# --- systemd ----------------------------------------------------------------


def test_a_users_unit_needs_no_unit_of_the_machines():
    text = systemd_unit(spec())
    assert values(text, "WantedBy") == ["default.target"]
    for key in ("After", "Requires", "Wants", "User"):
        assert values(text, key) == [], key


def test_the_machines_unit_comes_after_docker_and_may_do_little():
    text = systemd_unit(spec(boot_mode="system"))
    assert values(text, "WantedBy") == ["multi-user.target"]
    assert values(text, "After") == ["docker.service docker.socket"]
    assert values(text, "ProtectSystem") == ["strict"]
    assert values(text, "CapabilityBoundingSet") == ["CAP_DAC_OVERRIDE"]


@pytest.mark.parametrize("mode", ["user", "system"])
def test_a_unit_restarts_whatever_the_exit_code_but_for_the_one_that_gives_up(mode: str):
    text = systemd_unit(spec(boot_mode=mode, restart_delay="7"))
    assert values(text, "Restart") == ["always"]
    assert values(text, "RestartSec") == ["7"]
    assert values(text, "RestartPreventExitStatus") == [str(GIVEN_UP)]
    # The script counts, and needs the count of before.
    assert values(text, "StartLimitIntervalSec") == ["0"]
    assert values(text, "RuntimeDirectoryPreserve") == ["restart"]
    assert values(text, "NoNewPrivileges") == ["yes"]


def test_no_setting_is_read_by_systemd_as_anything_but_itself():
    host = 'unix:///run/100%h/$HOME/"x".sock'
    text = systemd_unit(replace(spec(), docker_host=host))
    assert r'Environment="DOCKER_HOST=unix:///run/100%%h/$HOME/\"x\".sock"' in text


def test_systemd_is_given_the_script_line_by_line():
    begin, end = 'ExecStart=/bin/sh -c "\\\n', '    " \\\n'
    text = systemd_unit(spec())
    word = text[text.index(begin) + len(begin) : text.index(end)]
    lines = [line.strip().removesuffix(r"\n\ ".strip()) for line in word.splitlines()]
    unquoted = [
        line.replace(r"\"", '"').replace("$$", "$").replace("%%", "%").replace(r"\\", "\\")
        for line in lines
    ]
    source = [line.strip() for line in part("run.sh").splitlines()]
    assert unquoted == [line for line in source if line and not line.startswith("#")]


# --- one run, by a stand-in for Docker --------------------------------------

DOCKER = """#!/bin/sh
echo "$*" >> "$FAKE/asked"
case $1 in
    version) [ ! -e "$FAKE/down" ] || { rm -f "$FAKE/down"; exit 1; } ;;
    start) [ ! -e "$FAKE/broken" ] ;;
    wait) [ ! -e "$FAKE/goes" ] || touch "$FAKE/down"; echo 137 ;;
esac
"""
DATE = """#!/bin/sh
# Each question comes so many seconds after the one before.
now=$(($(cat "$FAKE/now" 2> /dev/null || echo 0) + $(cat "$FAKE/step" 2> /dev/null || echo 1)))
echo "$now" | tee "$FAKE/now"
"""


class Runs:
    """Runs `run.sh` on a Docker that is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("docker", DOCKER), ("date", DATE)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def set(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def run(self, retries: int = 2) -> tuple[int, str]:
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "FAKE": str(self.folder),
            "DOCKER_HOST": "unix:///fake.sock",
        }
        counter = str(self.folder / "failures")
        words = ("sh", "-s", "opencode-local", str(retries), counter, str(GIVEN_UP), "0")
        done = subprocess.run(
            words,
            input=part("run.sh"),
            env=environment,
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_it_is_started_again_as_often_as_is_said_and_no_more(runs: Runs):
    codes = [runs.run(retries=2) for _ in range(3)]
    assert [code for code, _ in codes] == [1, 1, GIVEN_UP]
    assert "ended with exit code 137: restart 2 of 2" in codes[1][1]
    assert "ended with exit code 137, after 2 restarts in a row: given up" in codes[2][1]
    assert "To go on: occ start" in codes[2][1]
    # Told to go on, it counts anew.
    assert runs.run(retries=2)[0] == 1


def test_no_retries_are_none(runs: Runs):
    assert runs.run(retries=0)[0] == GIVEN_UP


def test_a_run_of_a_minute_ends_the_row(runs: Runs):
    assert [runs.run(retries=2)[0] for _ in range(2)] == [1, 1]
    runs.set("step", "60")
    assert "restart 1 of 2" in runs.run(retries=2)[1]
    runs.set("step", "59")
    assert "restart 2 of 2" in runs.run(retries=2)[1]
    assert runs.run(retries=2)[0] == GIVEN_UP


def test_a_container_that_cannot_start_is_tried_as_often(runs: Runs):
    runs.set("broken")
    assert "opencode-local did not start: restart 1 of 1" in runs.run(retries=1)[1]
    assert runs.run(retries=1)[0] == GIVEN_UP


def test_docker_is_waited_for_and_what_it_takes_along_is_not_counted(runs: Runs):
    runs.set("down")
    code, said = runs.run()
    assert "waiting for Docker at unix:///fake.sock" in said
    assert "restart 1 of 2" in said
    runs.set("goes")
    code, said = runs.run()
    assert (code, "Docker has gone" in said) == (1, True)
    assert (runs.folder / "failures").read_text() == "1\n"


# --- launchd ----------------------------------------------------------------


def test_launchd_reads_the_agent_and_restarts_what_ends_badly():
    agent = plistlib.loads(launchd_agent(spec(restart_retries="4")).encode())
    assert agent["Label"] == "org.opencode-cloud.service.local"
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["ProgramArguments"][-3:] == ["opencode-local", "4", "5"]
    assert agent["EnvironmentVariables"]["DOCKER_HOST"] == "unix:///var/run/docker.sock"


def test_an_agent_that_gives_up_ends_well(runs: Runs):
    agent = plistlib.loads(launchd_agent(spec(restart_retries="1", restart_delay="0")).encode())
    environment = {
        "PATH": f"{runs.folder}:{os.environ['PATH']}",
        "FAKE": str(runs.folder),
        "DOCKER_HOST": "unix:///fake.sock",
        "TMPDIR": f"{runs.folder}/",
    }
    words = agent["ProgramArguments"]
    ended = [subprocess.run(words, env=environment, timeout=30, check=False) for _ in range(2)]
    assert [each.returncode for each in ended] == [1, 0]


@pytest.fixture
def mac(tmp_path: Path) -> Iterator[Path]:
    with a_mac(tmp_path):
        yield tmp_path


def test_an_agent_is_installed_started_stopped_and_removed(mac: Path):
    file = mac / "Library/LaunchAgents/org.opencode-cloud.service.local.plist"

    def install(retries: str = "3") -> list[str]:
        (mac / "asked").write_text("")
        script = host_script("local", spec(restart_retries=retries))
        done = LocalShell().run("exec sh -s install", stdin=script)
        assert done.ok, done.err
        return [line.partition(" ")[0] for line in (mac / "asked").read_text().splitlines()]

    assert "bootstrap" in install()
    assert file.read_text() == launchd_agent(spec())
    assert "bootout" not in install(), "it is there already"
    assert install("9").count("bootstrap") == 1
    unit = HostUnit("local", LocalShell())
    shown = unit.show()
    assert shown
    assert (shown.file, shown.state, shown.linger) == (str(file), "active", None)
    unit.stop()
    assert (shown := unit.show())
    assert shown.state == "inactive"
    unit.start()
    unit.remove()
    assert not file.exists()
    assert unit.show() is None


def test_a_mac_that_nobody_is_signed_in_to_says_so(mac: Path):
    (mac / "signed-out").touch()
    done = LocalShell().run("exec sh -s install", stdin=host_script("local", spec()))
    assert not done.ok
    assert "An agent runs while" in done.err
    assert not (mac / "Library").exists()


# --- Windows ----------------------------------------------------------------


def found(task: ET.Element, path: str) -> str:
    names = "/".join(f"{{{NAMESPACE}}}{name}" for name in path.split("/"))
    return task.findtext(names) or ""


@pytest.mark.parametrize(
    ("delay", "retries", "interval", "count"),
    [("5", "3", "PT60S", "3"), ("90", "1000", "PT90S", "255"), ("5", "0", "", "")],
)
def test_windows_reads_the_task_in_what_its_scheduler_can(
    delay: str, retries: str, interval: str, count: str
):
    task = ET.fromstring(windows_task(spec(restart_delay=delay, restart_retries=retries)))
    assert found(task, "Settings/RestartOnFailure/Interval") == interval
    assert found(task, "Settings/RestartOnFailure/Count") == count
    assert found(task, "Settings/ExecutionTimeLimit") == "PT0S", "it is not ended after three days"
    assert found(task, "Triggers/LogonTrigger/Enabled") == "true"
    command = found(task, "Actions/Exec/Arguments")
    assert "start 'opencode-local'" in command
    assert command.endswith('exit 1"'), "else nothing would restart it"


def test_the_tasks_xml_is_read_from_what_the_command_is_given():
    assert "-Xml ([Console]::In.ReadToEnd())" in register("local")
    for command in (register("local"), unregister("local")):
        assert "-TaskPath '\\opencode-cloud\\' -TaskName 'local'" in command
        assert command.count('"') == 2, "cmd hands on one word"


# --- starting and stopping by the unit --------------------------------------


class FakeShell:
    """A host whose unit is as it is told, and that remembers what it was told to do."""

    name = "box"

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.told: list[str] = []

    def words(self, *words: str) -> tuple[str, ...]:
        return words

    def run(self, script: str, *, stdin: str = "", seconds: float = 0) -> Done:
        assert stdin.startswith("name=opencode-cloud-service-local\n")
        assert seconds
        verb = script.rpartition(" ")[2]
        self.told.append(verb)
        return Done(0, self.shown if verb == "show" else "", "")


ACTIVE = "mode=user\nlinger=yes\nActiveState=active\nUnitFileState=enabled\n"
STOPPED_UNIT = "mode=user\nlinger=yes\nActiveState=inactive\nUnitFileState=disabled\n"
NO_POLICY: dict[str, Any] = {"RestartPolicy": {"Name": "no"}}


def on(monkeypatch: pytest.MonkeyPatch, shown: str) -> FakeShell:
    shell = FakeShell(shown)
    monkeypatch.setattr(service_unit, "host_unit", lambda stack: HostUnit(stack, shell))
    return shell


def test_a_deployment_with_a_unit_is_stopped_by_it_before_docker_stops_it(
    monkeypatch: pytest.MonkeyPatch,
):
    shell = on(monkeypatch, ACTIVE)
    found = deployment(container(host=NO_POLICY), **{"/containers/c0ffee/stop": None})
    assert lifecycle.stop(found, lambda _: None)
    assert shell.told == ["show", "stop"]


def test_a_unit_that_has_nothing_to_stop_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    shell = on(monkeypatch, STOPPED_UNIT)
    assert not lifecycle.stop(deployment(container(state=STOPPED, host=NO_POLICY)), lambda _: None)
    assert shell.told == ["show"]


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (ACTIVE, ["show"]),
        (STOPPED_UNIT, ["show", "start"]),
        (ACTIVE.replace("linger=yes", "linger=no"), ["show", "start"]),
        (ACTIVE.replace("active", "failed"), ["show", "start"]),
        ("", ["show"]),
    ],
)
def test_a_unit_that_does_not_keep_it_running_is_started(
    shown: str, told: list[str], monkeypatch: pytest.MonkeyPatch
):
    shell = on(monkeypatch, shown)
    assert lifecycle.supervise(deployment(container(host=NO_POLICY))) is ("start" in told)
    assert shell.told == told


def test_where_docker_restarts_it_no_host_is_asked(monkeypatch: pytest.MonkeyPatch):
    shell = on(monkeypatch, ACTIVE)
    assert not lifecycle.supervise(deployment())
    assert shell.told == []


# --- what a host says -------------------------------------------------------


def test_a_host_without_a_unit_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert HostUnit("no-such-stack", LocalShell()).all() == []


def test_every_unit_of_the_name_is_told_apart():
    shown = (
        "mode=user\nfile=/u\nlinger=no\nNRestarts=2\nExecMainStatus=75\nActiveState=failed\n"
        "UnitFileState=enabled\n"
        "mode=system\nfile=/s\nNRestarts=0\nExecMainStatus=0\nActiveState=active\n"
        "UnitFileState=disabled\n"
    )
    user, system = read(shown)
    assert (user.gave_up, user.restarts, user.linger, user.starts_at_boot) == (
        True,
        2,
        False,
        False,
    )
    assert (system.gave_up, system.linger, system.enabled) == (False, None, False)
