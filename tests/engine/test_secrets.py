"""Secrets and variables, from `occ` to opencode's process, and where else they must not be."""

import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from tests.engine.argv_watch import ArgvWatch
from tests.engine.container import wait_until
from tests.engine.execution import execute
from tests.engine.operator import Operator
from tests.engine.stack import PulumiFailedError
from tests.engine.terminal import Terminal

FOLDER = "/etc/opencode-cloud/secrets"
ODD = 'it\'s "odd" $HOME `id` \\n %s\t*\n\n  --- \u00e9\U0001f600 ---\n'
"""Has line ends, one of them at its end, and all that a shell would make something of."""


def opencode_environment(operator: Operator) -> dict[str, str]:
    """Give the variables of opencode's process."""
    deployment = operator.deployment
    pid = deployment.run("pgrep", "--full", "^opencode serve").split()[0]
    text = deployment.run("cat", f"/proc/{pid}/environ", user="opencode")
    pairs = (entry.partition("=") for entry in text.split("\0") if entry)
    return {name: value for name, _, value in pairs}


LOOK = """
exec 2> /dev/null
for each in /proc/[0-9]*; do
    if text=$(tr '\\0' '\\n' < "$each/environ"); then
        case $text in *"$0"*) found=yes ;; *) found=no ;; esac
        echo "${each#/proc/} $found $(cat "$each/comm")"
    fi
done
"""


def processes_with(operator: Operator, text: str) -> set[str]:
    """Give the names of the container's processes that have a text in their environment."""
    deployment = operator.deployment
    there = dict(line.split() for line in deployment.run("ps", "-eo", "pid=,user=").splitlines())
    found: dict[str, list[str]] = {}
    # Root may not look into others' environments there; each user may, into its own.
    for user in set(there.values()):
        lines = deployment.run("sh", "-c", LOOK, text, user=user).splitlines()
        found |= {pid: rest for pid, *rest in map(str.split, lines)}
    ours = {pid for pid in there if pid not in found and not _is_gone(operator, pid)}
    assert not ours, f"nobody could look at {ours}"
    return {" ".join(name) for has, *name in found.values() if has == "yes"}


def _is_gone(operator: Operator, pid: str) -> bool:
    return operator.deployment.run("sh", "-c", f"test -d /proc/{pid} || echo gone") != ""


def remove_all(operator: Operator) -> None:
    occ = operator.occ
    names = [secret["name"] for secret in json.loads(occ("secret", "list", "--json"))]
    if names:
        occ("secret", "remove", "--yes", *names)
    if variables := json.loads(occ("env", "list", "--json")):
        occ("env", "remove", *variables)


@pytest.fixture(autouse=True)
def nothing_set(operated: Operator) -> Iterator[None]:
    yield
    remove_all(operated)


def test_secrets_of_each_way_reach_opencode_and_survive_a_restart(
    operated: Operator, tmp_path: Path
):
    file = tmp_path / "value"
    file.write_bytes(f"{ODD}\n".encode())
    occ = operated.occ
    with occ.on_terminal("secret", "set", "ASKED") as terminal:
        assert "ASKED" in terminal.expect(", not shown:")
        terminal.press("typed by hand\r")
        terminal.expect("Apply it now? [y/N]")
        terminal.press("n\r")
        assert "typed by hand" not in terminal.expect("To apply it:")
        assert terminal.ends() == 0
    assert "To apply it: " in occ("secret", "set", "PIPED", "--stdin", stdin=b"piped\r\n")
    assert "Applied: " in occ("secret", "set", "FILED", "--file", str(file), "--apply")
    expected = {"ASKED": "typed by hand", "PIPED": "piped", "FILED": ODD}
    assert expected.items() <= opencode_environment(operated).items()
    before = opencode_environment(operated)
    operated.deployment.restart()
    after = opencode_environment(operated)
    # Its own password is another at each start.
    assert [name for name in before if before[name] != after[name]] == ["OPENCODE_SERVER_PASSWORD"]
    listed = json.loads(occ("secret", "list", "--json"))
    assert [secret["name"] for secret in listed] == sorted(expected)
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:]{8}Z", secret["set"]) for secret in listed)


def test_what_pulumi_set_is_a_secret_as_well_and_its_json_is_left_alone(operated: Operator):
    stack = operated.deployment.stack
    value = '{"type": "account", "value": "x"}'
    stack.pulumi("config", "set", "--stack", stack.name, "--secret", "secret:ACCOUNT", value)
    assert "set by pulumi, not known when" in operated.occ("secret", "list")
    operated.occ("start")
    assert opencode_environment(operated)["ACCOUNT"] == value
    stack.preview("--expect-no-changes")
    assert "stack.yaml" not in operated.stack_file.read_text()


def test_what_opencode_starts_has_secrets_and_nothing_else_in_the_container_has(
    operated: Operator,
):
    value = secrets.token_hex(16)
    operated.occ("secret", "set", "TOKEN", "--stdin", "--apply", stdin=value.encode())
    deployment = operated.deployment
    body = {"command": "/bin/bash", "args": ["-c", 'printf %s "$TOKEN" > /tmp/token']}
    answer = requests.post(f"{deployment.url}/pty", json=body, auth=deployment.basic, timeout=30)
    assert answer.status_code == requests.codes.ok, answer.text
    wait_until(lambda: value in deployment.run("sh", "-c", "cat /tmp/token || true"), 20)
    deployment.run("rm", "/tmp/token")

    assert processes_with(operated, value) == {"opencode"}
    assert deployment.run("cat", f"{FOLDER}/TOKEN") == value
    modes = deployment.run("stat", "-c", "%U %a", FOLDER, f"{FOLDER}/TOKEN")
    assert modes.split("\n")[:2] == ["root 700", "root 600"]
    for user in ("opencode", "session", "gateway", "streams", "metrics", "nobody"):
        for path in (f"{FOLDER}/TOKEN", "/proc/1/environ"):
            refused = execute(deployment.container.id, "cat", path, user=user)
            assert refused.returncode != 0, (user, path)
            assert value not in refused.stdout
    assert value not in operated.occ("shell", "env")
    assert value not in operated.occ("shell", "--root", "env")


def test_the_hunt_for_a_secret_finds_it_only_where_it_belongs(
    operated: Operator, docker_client: docker.DockerClient
):
    value = f"planted-{secrets.token_hex(16)}"
    deployment, occ, said = operated.deployment, operated.occ, []
    with ArgvWatch() as watch:
        for words in (
            ("secret", "set", "PLANTED", "--stdin", "--verbose"),
            ("start", "--verbose"),
            ("restart", "--verbose"),
            ("secret", "list", "--json", "--verbose"),
            ("config", "show", "--json"),
            ("status", "--json"),
            ("doctor", "--json"),
            ("backup", "create"),
            ("logs", "-n", "all"),
        ):
            stdin = f"{value}\n".encode() if "set" in words else b""
            done = occ.attempt(*words, stdin=stdin)
            assert done.returncode == 0, done
            said += [done.stdout, done.stderr]
        deployment.restart()
        printed = deployment.stack.refresh() + deployment.stack.preview("--diff")
        history = deployment.stack.pulumi("stack", "history", "--stack", operated.stack, "--json")
    assert opencode_environment(operated)["PLANTED"] == value
    name = operated.stack
    container = deployment.container
    assert container.image
    shown = {
        "argv": b"\0".join(watch.seen),
        "occ": b"".join(said),
        "pulumi": (printed + history).encode(),
        "exported state": deployment.stack.pulumi("stack", "export", "--stack", name).encode(),
        "docker inspect": json.dumps(container.attrs).encode(),
        "image": json.dumps([container.image.attrs, container.image.history()]).encode(),
        "docker logs": container.logs(),
        "docker top": json.dumps(container.top(ps_args="-eo pid,args")).encode(),
    }
    assert b"pulumi\0config\0set" in shown["argv"], "the watch saw the command that sets it"
    assert [place for place, text in shown.items() if value.encode() in text] == []
    # Its home, its checkout with the stack's file, Pulumi's state with its history, its logs, the
    # backup, which nothing encrypts.
    assert list(operated.data.glob("backups/*/*.tar"))
    assert files_with(operated.folder, value) == []
    if home := os.environ.get("PULUMI_HOME"):
        assert files_with(Path(home) / "logs", value) == []
    found = deployment.run(
        *("sh", "-c", f"grep -rlsF {value} / --exclude-dir=proc --exclude-dir=sys || true")
    )
    assert found.split() == [f"{FOLDER}/PLANTED"]
    assert processes_with(operated, value) == {"opencode"}


def files_with(folder: Path, value: str) -> list[Path]:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return [file for file in files if value.encode() in file.read_bytes()]


def test_what_is_typed_at_the_prompt_is_in_no_shells_history(operated: Operator, tmp_path: Path):
    history = tmp_path / "history"
    shell = {**operated.occ.environment, "HISTFILE": str(history), "PS1": "ready> "}
    occ = " ".join(operated.occ.command(("secret", "set", "TYPED", "--quiet")))
    with Terminal(["bash", "--norc", "--noprofile", "-i"], shell) as terminal:
        terminal.expect("ready>")
        terminal.press(occ.replace(" --quiet", "") + "\r")
        terminal.expect("not shown:")
        terminal.press("a value in no history\r")
        terminal.expect("[y/N]")
        terminal.press("n\r")
        terminal.expect("ready>")
        # A key with line ends, pasted at once: none of it may become a command.
        terminal.press(occ.replace(" --quiet", "") + "\r")
        terminal.expect("not shown:")
        terminal.press("first line\rtouch pasted\rlast line\r")
        assert "touch" not in terminal.expect("--file PATH")
        terminal.expect("ready>")
        terminal.press("exit\r")
        terminal.ends()
    typed = history.read_text()
    assert typed.count("secret set TYPED") == 2
    assert "a value" not in typed
    assert "line" not in typed


def test_another_value_replaces_the_container_and_none_changes_nothing(operated: Operator):
    occ, stack = operated.occ, operated.deployment.stack
    occ("secret", "set", "KEY", "--stdin", "--apply", stdin=b"one")
    before = operated.deployment.container.id
    stack.preview("--expect-no-changes")
    stack.refresh()
    stack.preview("--expect-no-changes")
    occ("secret", "set", "KEY", "--stdin", "--apply", stdin=b"two")
    assert opencode_environment(operated)["KEY"] == "two"
    assert operated.deployment.container.id != before
    assert "There is no other copy" not in occ("secret", "remove", "KEY", "--yes", "--apply")
    assert "KEY" not in opencode_environment(operated)
    assert operated.deployment.run("ls", FOLDER) == ""


def test_variables_reach_opencode_and_shells_of_the_agent_and_no_supervision(operated: Operator):
    occ = operated.occ
    comment = "# a comment of ours\n"
    file = operated.stack_file
    file.write_text(comment + file.read_text())
    said = occ("env", "set", f"ODD={ODD}", "EMPTY=", "LD_PRELOAD=/workspace/x.so", "--apply")
    assert "container is replaced" in said
    environment = opencode_environment(operated)
    assert (environment["ODD"], environment["EMPTY"]) == (ODD, "")
    assert environment["LD_PRELOAD"] == "/workspace/x.so"
    assert processes_with(operated, "OPENCODE_CLOUD_ENV_ODD") <= {
        *("s6-svscan", "s6-supervise", "mawk", "sh", "cat", "tr")
    }
    assert "\nLD_PRELOAD=" not in operated.deployment.run(
        "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ"
    )
    assert "as applied" in occ("status")
    occ("env", "set", "EMPTY=no more")
    assert "changed since: variable EMPTY (to apply: " in occ("status")
    occ("env", "set", "EMPTY=")
    occ("env", "remove", "LD_PRELOAD", "--apply")
    assert occ("shell", "printenv", "ODD") == f"{ODD}\n"
    assert occ.attempt("shell", "--root", "printenv", "ODD").returncode == 1
    assert json.loads(occ("env", "list", "--json")) == {"EMPTY": "", "ODD": ODD}
    assert "EMPTY=\nODD=$'it\\'s" in occ("env", "list")
    assert file.read_text().startswith(comment)
    occ("env", "remove", "ODD", "EMPTY")
    occ("start")
    assert "ODD" not in opencode_environment(operated)


def test_what_cannot_be_is_refused_with_what_to_do_and_changes_nothing(operated: Operator):
    occ, file = operated.occ, operated.stack_file
    occ("env", "set", "TAKEN=1")
    before = file.read_bytes()
    command = f"occ --host {operated.stack}"
    said = occ.refused("secret", "set", "KEY", "the-value")
    assert "the-value" not in said
    assert f"{command} secret set KEY" in said
    assert "the-value" not in occ.refused("secret", "set", "KEY=the-value")
    assert f"{command} secret set KEY --stdin" in occ.refused("secret", "set", "KEY")
    assert "is empty" in occ.refused("secret", "set", "KEY", "--stdin", stdin=b"\n")
    assert "UTF-8" in occ.refused("secret", "set", "KEY", "--stdin", stdin=b"\xff\xfe")
    assert "NUL" in occ.refused("secret", "set", "KEY", "--stdin", stdin=b"a\0b")
    assert "32 KiB" in occ.refused("secret", "set", "KEY", "--stdin", stdin=b"x" * 40_000)
    assert "cannot be read" in occ.refused("secret", "set", "KEY", "--file", "/nowhere")
    assert "cannot be both" in occ.refused("secret", "set", "TAKEN", "--stdin", stdin=b"x")
    assert "lose it" in occ.refused("env", "set", "XDG_DATA_HOME=/tmp")
    assert "the agent is" in occ.refused("env", "set", "HOME=/tmp")
    assert "deployment's own" in occ.refused("env", "set", "OPENCODE_CLOUD_TLS=off")
    assert "no name" in occ.refused("env", "set", "1A=x")
    assert "NAME=VALUE" in occ.refused("env", "set", "A", "x")
    assert f"{command} secret set SOME_TOKEN" in occ.refused("env", "set", "SOME_TOKEN=x")
    assert "There is no secret NONE" in occ.refused("secret", "remove", "NONE", "--yes")
    assert "Did you mean TAKEN?" in occ.refused("env", "remove", "TAKE")
    assert "occ env set" in occ.refused("config", "set", "env:A", "x")
    assert "occ secret set" in occ.refused("config", "get", "secret:A")
    assert file.read_bytes() == before


def test_a_secret_that_is_not_encrypted_stops_pulumi_and_is_not_repeated(operated: Operator):
    stack = operated.deployment.stack
    pulumi = ("config", "set", "--stack", stack.name)
    stack.pulumi(*pulumi, "--plaintext", "secret:BARE", "for all to read")
    stack.pulumi(*pulumi, "--secret", "env:HIDDEN", "not for all")
    with pytest.raises(PulumiFailedError) as caught:
        stack.preview()
    said = str(caught.value)
    assert "secret:BARE is not encrypted in the stack's file" in said
    assert "occ secret set BARE" in said
    assert "env:HIDDEN is encrypted" in said
    assert "for all" not in said
    assert "NOT ENCRYPTED" in operated.occ("secret", "list")
    assert "BARE is not encrypted" in operated.occ.attempt("config", "show").stderr.decode()
    stack.pulumi("config", "rm", "--stack", stack.name, "env:HIDDEN")
    operated.occ("secret", "set", "BARE", "--stdin", "--apply", stdin=b"for opencode alone")
    assert opencode_environment(operated)["BARE"] == "for opencode alone"
    assert "for all to read" not in operated.stack_file.read_text()
