"""`occ config` and `pulumi` on the same stack's file."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.deployment import Deployment
from tests.engine.stack import PulumiFailedError, Stack

SECONDS = 60


def command(stack: Stack, *words: str) -> list[str]:
    return [sys.executable, "-m", "opencode_cloud.cli", "--host", stack.name, "config", *words]


def occ(stack: Stack, *words: str, code: int = 0) -> str:
    """Run occ from the copy of the program; returns all that it printed."""
    done = subprocess.run(
        command(stack, *words),
        cwd=stack.project,
        env=dict(stack.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def file_of(stack: Stack) -> Path:
    return stack.project / "stacks" / f"Pulumi.{stack.name}.yaml"


def pulumi_get(stack: Stack, key: str) -> str:
    return stack.pulumi("config", "get", "--stack", stack.name, key).removesuffix("\n")


@pytest.fixture(scope="module")
def own(project: Path, pulumi_env: dict[str, str]) -> Iterator[Stack]:
    """A stack of settings alone: nothing of it is ever up."""
    stack = Stack(f"config-{os.getpid()}", project, pulumi_env)
    stack.create({"image_source": "build"})
    yield stack
    stack.pulumi("stack", "rm", "--yes", "--force", stack.name)


@pytest.fixture
def stack(own: Stack) -> Iterator[Stack]:
    before = file_of(own).read_bytes()
    yield own
    file_of(own).write_bytes(before)


WRITTEN = {
    "memory_mb": "3072",
    "port": "8080",
    "proxy_protocol": "false",
    "tls": "off",
    "bind_address": "127.0.0.2",
    "public_address": "203.0.113.7",
    "hostnames": "a.example.org,b.example.org",
    "trust_proxy": "10.0.0.0/24",
    "acme_email": "",
    "acme_server": "https://ca.example.org/directory",
    "base_image": "registry.example.org/debian:13",
    "docker_host": "unix:///var/run/docker.sock",
}


def test_pulumi_reads_what_occ_wrote_and_would_have_written_it_the_same(stack: Stack):
    before = file_of(stack).read_text()
    for key, value in WRITTEN.items():
        occ(stack, "set", key, value, "--yes")
        assert pulumi_get(stack, key) == value
    by_occ = file_of(stack).read_text()
    file_of(stack).write_text(before)
    stack.configure(WRITTEN)
    assert sorted(file_of(stack).read_text().split("\n")) == sorted(by_occ.split("\n"))


def test_what_occ_unset_has_its_default_again_for_pulumi(stack: Stack):
    before = file_of(stack).read_text()
    stack.configure(WRITTEN)
    for key in WRITTEN:
        occ(stack, "unset", key, "--yes")
    assert file_of(stack).read_text() == before
    assert pulumi_get(stack, "memory_mb") == "2048"


@pytest.mark.parametrize(
    "line",
    [
        "opencode:port: 8080",
        "opencode:port: 0x1F90",
        "opencode:port: 010",
        "opencode:port: 1_000",
        "port: 8080",
        "opencode:config:port: '8080'",
        "opencode:tls: off",
        "opencode:proxy_protocol: True",
        "opencode:proxy_protocol: yes",
        "opencode:hostnames: ''",
        "opencode:hostnames: [10.0.0.1, 3]",
        "opencode:acme_email: |-\n    a@example.org",
    ],
)
def test_occ_reads_what_a_person_wrote_as_pulumi_does(stack: Stack, line: str):
    file = file_of(stack)
    file.write_text(file.read_text().replace("config:\n", f"config:\n  {line}\n"))
    key = line.partition(": ")[0].rpartition(":")[2]
    assert '"source": "stack"' in occ(stack, "get", key, "--json")
    assert occ(stack, "get", key).removesuffix("\n") == as_typed(key, pulumi_get(stack, key))


def as_typed(key: str, value: str) -> str:
    """Booleans are shown in one way, whatever word a person chose."""
    return {"yes": "true"}.get(value, value) if key == "proxy_protocol" else value


def test_an_encrypted_value_survives_and_can_still_be_opened(stack: Stack):
    hidden = ("--stack", stack.name, "--secret")
    stack.pulumi("config", "set", *hidden, "other:token", "a planted value")
    stack.pulumi("config", "set", *hidden, "acme_email", "planted@example.org")
    occ(stack, "set", "memory_mb", "4096")
    occ(stack, "unset", "memory_mb")
    occ(stack, "set", "cpus", "2", "--yes")
    shown = occ(stack, "show") + occ(stack, "show", "--json")
    assert "planted" not in shown
    assert "secure" not in shown
    assert pulumi_get(stack, "other:token") == "a planted value"
    assert pulumi_get(stack, "acme_email") == "planted@example.org"


@pytest.mark.parametrize(
    "words",
    [
        ("set", "port", "70000"),
        ("set", "bind_address", "0.0.0.0"),
        ("set", "base_image", "two\nlines"),
        ("set", "auth_password", "x"),
        ("unset", "image_source"),
    ],
)
def test_what_is_refused_changes_nothing(stack: Stack, words: tuple[str, ...]):
    before = file_of(stack).read_bytes()
    said = occ(stack, *words, "--yes", code=1)
    assert "Traceback" not in said
    assert file_of(stack).read_bytes() == before


def test_occ_and_the_program_refuse_a_file_for_the_same_reasons(stack: Stack):
    stack.configure({"port": "70000", "bind_address": "0.0.0.0", "prot": "1"})
    said = occ(stack, "show", code=1)
    problems = said[said.index("3 settings of stack") :].strip()
    with pytest.raises(PulumiFailedError) as caught:
        stack.preview()
    output = str(caught.value)
    for line in problems.splitlines():
        assert line.strip() in output


def test_on_a_terminal_it_asks_before_it_applies(stack: Stack):
    code, said = at_terminal(stack, "n", "set", "port", "8081")
    assert code == 0, said
    assert said.index("container is replaced") < said.index("Apply it now?")
    assert "To apply it: occ" in said
    assert "8081" in file_of(stack).read_text()


def test_on_a_terminal_it_asks_before_it_writes_what_endangers_data(stack: Stack):
    before = file_of(stack).read_text()
    code, said = at_terminal(stack, "n", "set", "delete_data_on_destroy", stack.name)
    assert code == 1, said
    assert said.index("deletes users, sessions and data") < said.index("Write it?")
    assert file_of(stack).read_text() == before


def at_terminal(stack: Stack, answer: str, *words: str) -> tuple[int, str]:
    """Run occ on a terminal of its own, and type an answer when it asks."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(stack, *words),
        cwd=stack.project,
        env=dict(stack.env),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said, answered = "", False
    try:
        while chunk := os.read(ours, 4096):
            said += chunk.decode()
            if not answered and "[y/N]" in said:
                answered = True
                os.write(ours, f"{answer}\n".encode())
    except OSError:
        # How Linux says that nobody holds the other end any more.
        pass
    finally:
        os.close(ours)
    return process.wait(SECONDS), said


@pytest.mark.parametrize(
    ("key", "value", "need", "shown"),
    [
        ("allow_network_exposure", "true", "nothing", "16 unchanged"),
        ("memory_mb", "1536", "update", "~ 1 to update"),
        ("cpus", "1", "replace", "+-1 to replace"),
        ("rate_limit_attempts", "7", "replace", "+-1 to replace"),
        ("metrics_port", "9", "replace", "+-1 to replace"),
    ],
)
def test_what_occ_says_of_a_change_is_what_pulumi_then_shows(
    deployment: Deployment, key: str, value: str, need: str, shown: str
):
    stack = deployment.stack
    file = file_of(stack)
    before = file.read_bytes()
    try:
        assert f'"need": "{need}"' in occ(stack, "set", key, value, "--json", "--quiet")
        preview = stack.preview()
        assert shown in preview
        assert ("replace" in preview) == (need == "replace")
    finally:
        file.write_bytes(before)
    stack.preview("--expect-no-changes")
