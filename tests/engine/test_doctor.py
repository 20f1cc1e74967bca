"""`occ doctor`, and what `occ status` says of drift, on a deployment that is broken on purpose."""

import dataclasses
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema

from tests.engine.deployment import PASSWORD, USER, Deployment
from tests.engine.occ import Occ
from tests.engine.operator import Operator

SECONDS = 20
"""It takes two; the machine may have other things to do."""


def schema(root: Path, name: str) -> Any:
    return json.loads((root / f"schemas/{name}.schema.json").read_text())


def findings(operator: Operator) -> dict[str, dict[str, str]]:
    """What it says that is not well, by the names of the checks."""
    done = operator.occ.attempt("doctor", "--json")
    found = json.loads(done.stdout)
    outcomes = {each["outcome"] for each in found["findings"]}
    assert done.returncode == (1 if "problem" in outcomes else 0)
    assert found["well"] is (done.returncode == 0)
    return {each["check"]: each for each in found["findings"] if each["outcome"] != "ok"}


@contextmanager
def settings(operator: Operator, old: str, new: str) -> Iterator[None]:
    """Other settings in the stack's file, for a while."""
    before = operator.stack_file.read_text()
    assert old in before
    operator.stack_file.write_text(before.replace(old, new, 1))
    try:
        yield
    finally:
        operator.stack_file.write_text(before)


def test_where_all_is_well_it_says_so_in_time(operated: Operator):
    began = time.monotonic()
    done = operated.occ.attempt("doctor")
    took = time.monotonic() - began
    shown = done.stdout.decode()
    assert done.returncode == 0, shown
    assert took < SECONDS
    assert "PROBLEM" not in shown
    assert "\x1b" not in shown
    for group in ("This machine", "Docker", "Pulumi", "Settings", "Deployment"):
        assert f"\n{group}\n" in f"\n{shown}"
    found = json.loads(operated.occ("doctor", "--json"))
    jsonschema.validate(found, schema(operated.checkout, "doctor"))
    checks = {each["check"]: each for each in found["findings"]}
    assert checks["pulumi.passphrase"]["what"].endswith("opens the stack")
    assert checks["deployment.settings"]["what"] == "as applied"
    assert "warning" not in operated.occ("doctor", "--quiet") or "room" in shown


def test_what_it_says_holds_nothing_secret(operated: Operator):
    passphrase = (operated.data / "passphrase").read_text().strip()
    inside = operated.deployment.run("cat", "/run/opencode-cloud/opencode/password").strip()
    for words in (("doctor",), ("doctor", "--json"), ("doctor", "--verbose")):
        done = operated.occ.attempt(*words)
        said = (done.stdout + done.stderr).decode()
        for secret in (passphrase, PASSWORD, inside):
            assert len(secret) > 7
            assert secret not in said


def test_drift_is_told_by_status_and_doctor_until_it_is_applied(operated: Operator):
    assert re.search(r"^Settings +as applied$", operated.occ("status"), re.MULTILINE)
    with settings(operated, "config:\n", "config:\n  opencode:memory_mb: 3072\n"):
        shown = operated.occ("status")
        apply = f"to apply: occ --host {operated.stack} start"
        assert re.search(
            rf"^Settings +changed since: memory, swap \({apply}\)$", shown, re.MULTILINE
        )
        found = json.loads(operated.occ("status", "--json"))
        jsonschema.validate(found, schema(operated.checkout, "status"))
        assert found["drift"]["differences"][0] == {
            "name": "memory",
            "settings": "3072 MiB",
            "container": "2048 MiB",
        }
        assert findings(operated)["deployment.settings"]["outcome"] == "warning"
    # Behind Pulumi's back.
    container = operated.deployment.container
    never: Any = {"Name": "no", "MaximumRetryCount": 0}
    container.update(restart_policy=never)
    try:
        found = findings(operated)
        assert "restart policy" in found["deployment.settings"]["what"]
        assert found["deployment.boot"]["outcome"] == "warning"
    finally:
        container.update(restart_policy=never | {"Name": "unless-stopped"})


def test_settings_that_cannot_be_used_are_told_one_by_one(operated: Operator):
    with settings(operated, "config:\n", "config:\n  opencode:colour: red\n  opencode:cpus: -1\n"):
        done = operated.occ.attempt("doctor")
        assert done.returncode == 1
        shown = done.stdout.decode()
        assert "cpus = '-1' should be greater than or equal to 0" in shown
        assert "colour = 'red' is not a setting" in shown
        assert "not compared: 2 settings" in operated.occ("status")
    with settings(operated, "config:\n", "config: [\n"):
        assert findings(operated)["settings.file"]["outcome"] == "problem"
        assert operated.occ.attempt("status").returncode == 0


def test_one_that_is_stopped_and_its_port_taken_is_told_with_who_has_it(operated: Operator):
    operated.occ("stop")
    try:
        assert findings(operated)["deployment.container"]["mend"].endswith(" start")
        with socket.socket() as taker:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taker.bind(("127.0.0.1", operated.port))
            taker.listen()
            port = findings(operated)["deployment.port"]
            assert f"(process {os.getpid()})" in port["what"]
            assert "config set port NUMBER, or " in port["mend"]
            assert port["mend"].endswith(f"kill {os.getpid()}")
    finally:
        operated.occ("start")


def test_one_in_which_nobody_can_sign_in_is_a_problem(operated: Operator):
    operated.occ("user", "disable", USER, "--force")
    try:
        found = findings(operated)["deployment.users"]
        assert found["outcome"] == "problem"
        assert found["mend"] == f"occ --host {operated.stack} user enable {USER}"
    finally:
        operated.occ("user", "enable", USER)


def test_a_wrong_missing_or_open_passphrase_is_told(operated: Operator):
    file = operated.data / "passphrase"
    right = file.read_text()
    try:
        file.write_text("another")
        assert "not what the stack's secrets" in findings(operated)["pulumi.passphrase"]["what"]
        file.write_text(right)
        file.chmod(0o644)
        assert findings(operated)["pulumi.passphrase"]["mend"] == f"chmod 600 {file}"
        file.unlink()
        assert "is missing" in findings(operated)["pulumi.passphrase"]["what"]
    finally:
        file.write_text(right)
        file.chmod(0o600)


def test_what_a_killed_pulumi_left_is_told(operated: Operator):
    lock = operated.data / f"state/.pulumi/locks/organization/opencode/{operated.stack}/x.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"pid": 2**22 + 1, "hostname": os.uname().nodename}))
    try:
        assert "pulumi cancel" in findings(operated)["pulumi.lock"]["mend"]
    finally:
        lock.unlink()


def test_docker_that_is_not_there_or_silent_does_not_hide_the_rest(operated: Operator):
    silent = operated.folder / "silent.sock"
    with settings(operated, "config:\n", f"config:\n  opencode:docker_host: unix://{silent}\n"):
        found = findings(operated)
        assert found["docker.socket"]["what"].startswith(f"No Docker engine answers at {silent}")
        assert found["deployment.all"]["outcome"] == "skipped"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(silent))
            listener.listen()
            began = time.monotonic()
            found = findings(operated)
            assert time.monotonic() - began < 20
        assert "no answer within" in found["docker.socket"]["what"]
        assert "pulumi.state" not in found


def test_without_a_pulumi_engine_it_says_how_to_get_one(operated: Operator, tmp_path: Path):
    home = operated.data / "pulumi-home"
    home.rename(home.with_name("aside"))
    try:
        bare = operated.environment | {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        occ = dataclasses.replace(operated.occ, shell=bare)
        shown = occ.attempt("doctor").stdout.decode()
    finally:
        home.with_name("aside").rename(home)
    assert "there is no Pulumi engine with all its plugins" in shown
    assert f"./start --stack {operated.stack}" in shown


def test_on_a_terminal_it_is_coloured_and_as_wide_as_that(operated: Operator):
    with operated.occ.on_terminal("doctor") as terminal:
        terminal.resize(40, 70)
        terminal.expect("Deployment")
        assert terminal.ends() == 0
        assert "\x1b[32mok" in terminal.shown


def test_one_that_is_kept_elsewhere_is_looked_at_as_far_as_it_goes(
    deployment: Deployment, root: Path
):
    """The checkout's occ has neither settings nor state of the shared deployment."""
    occ = Occ(root, deployment.stack.name)
    shown = occ.attempt("doctor").stdout.decode()
    assert "ok       container:" in shown
    assert "this stack has none here" in shown
    assert re.search(r"^Settings +not compared: .*kept elsewhere$", occ("status"), re.MULTILINE)


def test_what_programs_read_is_as_its_schema_says(operated: Operator):
    lines = {
        "status": "status",
        "version": "version",
        "user-list": "user list",
        "config-show": "config show",
        "config-get": "config get port",
        "config-change": "config set port 4096 --yes",
        "env-list": "env list",
        "secret-list": "secret list",
        "mount-list": "mount list",
        "backup-list": "backup list",
        "update-points": "update --points",
    }
    before = operated.stack_file.read_text()
    try:
        for name, line in lines.items():
            done = operated.occ.attempt(*line.split(), "--json")
            assert done.returncode == 0, (line, done.stderr)
            jsonschema.validate(json.loads(done.stdout), schema(operated.checkout, name))
        made = json.loads(operated.occ("backup", "create", "--json"))
        jsonschema.validate(made, schema(operated.checkout, "backup-create"))
        sound = json.loads(operated.occ("backup", "verify", made["where"], "--json"))
        jsonschema.validate(sound, schema(operated.checkout, "backup-verify"))
    finally:
        operated.stack_file.write_text(before)
