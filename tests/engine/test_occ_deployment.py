"""`occ` on the real deployment: what it shows, says and changes there."""

import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import requests

from opencode_cloud import __version__
from opencode_cloud.ops.logs import PROCESSES
from tests.engine.container import wait_until
from tests.engine.deployment import PASSWORD, USER, Deployment
from tests.engine.occ import Occ


@pytest.fixture
def occ(root: Path, deployment: Deployment) -> Occ:
    return Occ(root, deployment.stack.name)


@pytest.fixture
def eve(occ: Occ, deployment: Deployment) -> Iterator[str]:
    """A second user, gone afterwards."""
    occ("user", "add", "eve", "--password-stdin", stdin=f"{PASSWORD}\n".encode())
    yield "eve"
    occ.attempt("user", "remove", "eve", "--yes")


def signs_in(deployment: Deployment, name: str, password: str) -> bool:
    answer = requests.get(f"{deployment.url}/session", auth=(name, password), timeout=30)
    return answer.status_code == requests.codes.ok


def say(deployment: Deployment, words: str) -> None:
    """Have the session service say something."""
    line = f"session      | {words}"
    deployment.run("sh", "-c", f"echo '{line}' > /proc/1/fd/1")
    # Docker keeps it a moment later.
    wait_until(lambda: deployment.container.logs(tail=1).decode() == f"{line}\n", 30)


def test_status_says_what_runs_and_ends_with_0(occ: Occ, deployment: Deployment):
    shown = occ("status")
    assert re.search(rf"^Deployment +{occ.stack}$", shown, re.MULTILINE)
    assert "running, healthy" in shown
    assert deployment.url in shown
    assert f"occ {__version__} · image {__version__} · opencode 1." in shown
    assert deployment.container.attrs["Image"] in shown
    assert "by this machine alone" in shown
    assert re.search(rf"^Users +{USER}$", shown, re.MULTILINE)
    assert "no new privileges" in shown
    assert "\x1b" not in shown
    assert occ("status", "--quiet") == "running healthy\n"


def test_status_as_json_is_what_its_schema_says(occ: Occ, deployment: Deployment, root: Path):
    found = json.loads(occ("status", "--json"))
    jsonschema.validate(found, json.loads((root / "schemas/status.schema.json").read_text()))
    assert found["url"] == deployment.url
    assert found["users"] == [{"name": USER, "enabled": True}]
    assert found["resources"]["memory_bytes"] > 50_000_000
    assert {mount["path"] for mount in found["mounts"]} >= {"/workspace"}
    assert found["security"]["bind_address"] == "127.0.0.1"
    assert found["provenance"]["digest"] == deployment.stack.outputs()["imageDigest"]


def test_status_on_a_terminal_is_a_panel_and_without_colours_when_asked(occ: Occ):
    with occ.on_terminal("status") as terminal:
        terminal.expect("╭")
        assert "\x1b[" in terminal.expect("healthy")
        assert terminal.ends() == 0
    with occ.on_terminal("--no-color", "status") as terminal:
        shown = terminal.expect("healthy")
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)
        assert terminal.ends() == 0


def test_watch_goes_on_until_ctrl_c(occ: Occ):
    with occ.on_terminal("status", "--watch") as terminal:
        terminal.expect("healthy")
        terminal.press("\x03")
        assert terminal.ends() == 0


def test_a_deployment_that_is_not_there_ends_with_3_and_how_to_make_it(occ: Occ, root: Path):
    # Nearer to its own than to that of a lane beside it, which may differ in the last digit alone.
    misspelt = Occ(root, f"{occ.stack}x")
    done = misspelt.attempt("status")
    assert done.returncode == 3
    assert f"Did you mean --host {occ.stack}?" in done.stdout.decode()
    schema = json.loads((root / "schemas/status.schema.json").read_text())
    found = json.loads(misspelt.attempt("status", "--json").stdout)
    jsonschema.validate(found, schema)
    assert found["state"] == "missing"
    for line in ("start", "logs", "user list", "shell id", "open"):
        assert f"./start --stack {misspelt.stack}" in misspelt.refused(*line.split())


def test_status_and_version_take_little_work(occ: Occ):
    def worked(*words: str) -> float:
        """Processor seconds: unlike time, not those of whatever else this machine does."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        occ(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(worked("--version") for _ in range(3)) < 0.1
    assert min(worked("status") for _ in range(3)) < 0.3


def test_version_tells_all_three(occ: Occ):
    assert re.fullmatch(
        rf"opencode-cloud {__version__}\nimage +{__version__}\nopencode +1\.[0-9.]+\n",
        occ("version"),
    )


def test_open_prints_the_address_where_there_is_no_browser(occ: Occ, deployment: Deployment):
    assert occ("open", "--print") == f"{deployment.url}\n"
    without = {
        name: value
        for name, value in occ.environment.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    }
    shown = subprocess.run(occ.command(["open"]), env=without, capture_output=True, check=True)
    assert shown.stdout.decode() == f"{deployment.url}\n"


def test_logs_are_lines_with_their_process_and_can_be_chosen(occ: Occ, deployment: Deployment):
    lines = occ("logs", "-n", "all").splitlines()
    assert lines
    assert {line.partition(" ")[0] for line in lines} <= set(PROCESSES)
    session = occ("logs", "--process", "session", "-n", "all").splitlines()
    assert session == [line for line in lines if line.startswith("session ")]
    assert occ("logs", "--process", "session", "-n", "1").splitlines() == session[-1:]
    assert "opencode is healthy" in occ("logs", "--grep", r"is healthy \(1\.")
    assert occ("logs", "--since", "1s", "--grep", "no such words") == ""
    assert occ("logs", "-n", "0") == ""
    assert "Did you mean gateway?" in occ.refused("logs", "--process", "gatway")
    say(deployment, "planted")
    assert occ("logs", "--since", "1m", "--process", "session", "--grep", "^sess.*planted$")


def test_followed_logs_show_each_line_once_and_as_it_comes(occ: Occ, deployment: Deployment):
    say(deployment, "one")
    following = occ.begin("logs", "--follow", "--process", "session", "-n", "1")
    assert following.stdout
    assert following.stdout.readline() == b"session      | one\n"
    for word in ("two", "three"):
        say(deployment, word)
        assert following.stdout.readline() == f"session      | {word}\n".encode()
    following.send_signal(signal.SIGINT)
    assert following.wait(10) == 130
    assert following.stderr
    assert following.stderr.read() == b""


def test_a_reader_that_has_seen_enough_ends_logs_without_complaint(occ: Occ):
    line = f"'{occ.root}/occ' logs -n all | head -1"
    done = subprocess.run(line, shell=True, env=occ.environment, capture_output=True, check=True)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, b"")


def test_users_are_added_changed_and_removed_at_once(occ: Occ, deployment: Deployment, eve: str):
    assert occ("user", "list") == f"{USER}  enabled\neve  enabled\n"
    assert signs_in(deployment, eve, PASSWORD)
    made = occ("user", "passwd", eve, "--generate", "--quiet").strip()
    assert not signs_in(deployment, eve, PASSWORD)
    assert signs_in(deployment, eve, made)
    occ("user", "disable", eve)
    assert not signs_in(deployment, eve, made)
    listed = json.loads(occ("user", "list", "--json"))
    assert listed[1] == {"name": eve, "enabled": False}
    parts = json.loads((occ.root / "schemas/status.schema.json").read_text())["$defs"]
    jsonschema.validate(listed, {"type": "array", "items": parts["User"]})
    occ("user", "enable", eve)
    assert signs_in(deployment, eve, made)
    assert "--yes" in occ.refused("user", "remove", eve)
    occ("user", "remove", eve, "--yes")
    assert not signs_in(deployment, eve, made)


def test_what_cannot_be_done_to_users_is_refused_with_what_to_do(occ: Occ, deployment: Deployment):
    command = f"occ --host {occ.stack} user"
    assert f"{command} disable {USER} --force" in occ.refused("user", "disable", USER)
    assert f"{command} remove {USER} --force" in occ.refused("user", "remove", USER, "--yes")
    assert f"Did you mean {USER}?" in occ.refused("user", "enable", f"{USER}a")
    assert f"`{command} passwd {USER}`" in occ.refused("user", "add", USER, "--generate")
    assert "belongs to the system" in occ.refused("user", "add", "root", "--generate")
    short = occ.refused("user", "passwd", USER, "--password-stdin", stdin=b"short\n")
    assert "use at least 8" in short
    assert "the password is empty" in occ.refused("user", "add", "x", "--password-stdin").lower()
    assert f"{command} add eve --generate" in occ.refused("user", "add", "eve")
    assert signs_in(deployment, USER, PASSWORD)


def test_a_password_is_asked_for_twice_and_never_shown(occ: Occ, deployment: Deployment, eve: str):
    with occ.on_terminal("user", "passwd", eve) as terminal:
        terminal.expect("Password for eve: ")
        terminal.press("a new pass phrase\n")
        assert "a new" not in terminal.expect("again: ")
        terminal.press("a new pass phrase\n")
        terminal.expect("eve has a new password")
        assert terminal.ends() == 0
    assert signs_in(deployment, eve, "a new pass phrase")
    with occ.on_terminal("user", "passwd", eve) as terminal:
        terminal.expect("Password for eve: ")
        terminal.press("one pass phrase\n")
        terminal.expect("again: ")
        terminal.press("another pass phrase\n")
        terminal.expect("differ; nothing was changed")
        assert terminal.ends() == 1
    assert signs_in(deployment, eve, "a new pass phrase")


def test_a_removal_is_asked_about_on_a_terminal(occ: Occ, eve: str):
    for key, code in (("n", 1), ("y", 0)):
        with occ.on_terminal("user", "remove", eve) as terminal:
            terminal.expect("[y/N] ")
            terminal.press(f"{key}\n")
            assert terminal.ends() == code
    assert "eve" not in occ("user", "list")


def test_no_password_is_on_any_command_line(occ: Occ, eve: str):
    secret = "planted pass phrase"
    seen: list[bytes] = []
    changing = occ.begin("user", "passwd", eve, "--password-stdin")
    assert changing.stdin
    changing.stdin.write(f"{secret}\n".encode())
    changing.stdin.close()
    while changing.poll() is None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    seen.append((process / name).read_bytes())
                except OSError:
                    continue
    assert changing.returncode == 0
    assert any(b"opencode-user" in line or b"accounts" in line for line in seen)
    assert not [line for line in seen if secret.encode() in line]


def test_a_command_in_the_shell_gives_its_own_output_and_exit_code(occ: Occ):
    assert occ("shell", "pwd") == "/workspace\n"
    assert occ("shell", "sh", "-c", "id -un; echo $HOME") == "opencode\n/home/opencode\n"
    assert occ("shell", "--root", "--", "sh", "-c", "id -un; echo $HOME") == "root\n/root\n"
    assert occ("shell", "ls", "--directory", "--", "/workspace") == "/workspace\n"
    assert occ("shell", "printf", "%s|", "a b", "$HOME", "--json") == "a b|$HOME|--json|"
    done = occ.attempt("shell", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)
    done = occ.attempt("shell", "nonesuch")
    assert (done.returncode, b"nonesuch: not found" in done.stderr) == (127, True)


def test_what_is_piped_through_the_shell_is_not_changed(occ: Occ, tmp_path: Path):
    data = os.urandom(3_000_000)
    done = occ.attempt("shell", "cat", stdin=data, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == data
    assert occ("shell", stdin=b"echo $((20 + 3))\n") == "23\n"
    assert occ.attempt("shell", "head", "-c", "1", stdin=data).stdout == data[:1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_ends_with_the_occ_that_ran_it(
    occ: Occ, deployment: Deployment, number: signal.Signals, code: int
):
    running = occ.begin("shell", "sh", "-c", "echo began; sleep 1234; echo never")
    assert running.stdout
    assert running.stdout.readline() == b"began\n"
    running.send_signal(number)
    assert running.wait(20) == code
    wait_until(lambda: "1234" not in deployment.run("ps", "-eo", "args"), 30)


def test_the_shell_is_a_terminal_with_sizes_job_control_and_colours(occ: Occ):
    with occ.on_terminal("shell") as terminal:
        terminal.resize(40, 101)
        terminal.expect("/workspace$ ")
        terminal.press("stty size; echo $TERM; tty | cut -c 1-8\n")
        terminal.expect("40 101")
        terminal.expect("xterm")
        terminal.expect("/dev/pts")
        terminal.resize(33, 77)
        time.sleep(1)
        terminal.press("stty size\n")
        terminal.expect("33 77")
        terminal.press("sh -c 'echo be''gan; sleep 99'\n")
        terminal.expect("began")
        time.sleep(0.5)
        terminal.press("\x1a")
        terminal.expect("Stopped")
        terminal.press("kill %1; wait; echo inter''rupt; sleep 99\n")
        terminal.expect("interrupt")
        time.sleep(0.5)
        terminal.press("\x03")
        terminal.expect("/workspace$ ")
        terminal.press("ls --color=auto -d /workspace; exit 9\n")
        terminal.expect("\x1b[01;34m/workspace")
        assert terminal.ends() == 9


def test_a_closed_window_leaves_nothing_running(occ: Occ, deployment: Deployment):
    with occ.on_terminal("shell") as terminal:
        terminal.expect("/workspace$ ")
        terminal.press("sleep 4321\n")
        wait_until(lambda: "4321" in deployment.run("ps", "-eo", "args"), 30)
        terminal.close()
    wait_until(lambda: "4321" not in deployment.run("ps", "-eo", "args"), 30)


def test_stopping_and_starting_can_be_said_twice(occ: Occ, deployment: Deployment):
    try:
        assert f"occ --host {occ.stack} start" in occ("stop")
        assert "stopped already" in occ("stop")
        done = occ.attempt("status")
        assert (done.returncode, b"exited" in done.stdout) == (3, True)
        for line in ("user list", "shell id", "open"):
            said = occ.refused(*line.split())
            assert f"Start it: occ --host {occ.stack} start" in said
        assert occ("logs", "-n", "1").count("\n") == 1
        assert f"opencode answers at {deployment.url}" in occ("start")
        assert signs_in(deployment, USER, PASSWORD)
        assert "It runs" in occ("start")
        assert f"opencode answers at {deployment.url} again" in occ("restart")
        assert signs_in(deployment, USER, PASSWORD)
        assert occ.attempt("status").returncode == 0
    finally:
        occ.attempt("start")
        deployment.wait_healthy()


def test_an_unhealthy_deployment_ends_with_4_and_says_why(occ: Occ, deployment: Deployment):
    deployment.container.pause()
    try:
        done = occ.attempt("status")
        assert (done.returncode, b"the container is paused" in done.stdout) == (4, True)
        assert "opencode answers at" in occ("start")
    finally:
        if deployment.container.status == "paused":
            deployment.container.unpause()
    deployment.run("s6-svc", "-d", "/run/service/opencode")
    try:
        wait_until(lambda: occ.attempt("status").returncode == 4, 30)
        assert "opencode" in json.loads(occ.attempt("status", "--json").stdout)["reason"]
    finally:
        deployment.run("s6-svc", "-u", "/run/service/opencode")
        deployment.wait_healthy()
