"""`occ host` on real machines: what it finds, what it refuses, and what it makes."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import jsonschema
import pytest
from docker.models.networks import Network

from tests.engine.container import wait_until
from tests.engine.operator import OperatorOcc
from tests.engine.ssh_server import make_key
from tests.machine import host
from tests.machine.conftest import KEPT, RemoteOperator, remote_operator
from tests.machine.host import Host

INSTALL_SECONDS = 600
ROOTLESS = """
# Where the tool looks for it; Debian has it elsewhere.
ln -s /usr/bin/docker /usr/share/docker.io/contrib/docker
mkdir -p /dev/net && mknod /dev/net/tun c 10 200 && chmod 666 /dev/net/tun
useradd --create-home --shell /bin/bash rob && loginctl enable-linger rob
cp -r /home/ada/.ssh /home/rob/ && chown -R rob: /home/rob/.ssh
su - rob -c 'export XDG_RUNTIME_DIR=/run/user/$(id -u) PATH=$PATH:/usr/sbin:/sbin
tools=/usr/share/docker.io/contrib; PATH=$PATH:$tools
until [ -S $XDG_RUNTIME_DIR/systemd/private ]; do sleep 0.2; done
sh $tools/dockerd-rootless-setuptool.sh install --force --skip-iptables'
"""
NOBODYS = """
useradd --create-home --shell /bin/bash eve
cp -r /home/ada/.ssh /home/eve/ && chown -R eve: /home/eve/.ssh
"""


@dataclass(frozen=True)
class Person:
    """Somebody with an occ of their own, no stack, and ssh's configuration of their own."""

    operator: RemoteOperator
    ssh: Path
    """Folder of their configuration; their `ssh` is the system's, told to use it."""

    @property
    def occ(self) -> OperatorOcc:
        path = f"{self.ssh}{os.pathsep}{os.environ['PATH']}"
        shell = {**self.operator.environment, "PATH": path}
        return OperatorOcc(self.operator.checkout, "", shell)

    def with_agent(self, socket: Path) -> OperatorOcc:
        shell = {**self.occ.shell, "SSH_AUTH_SOCK": str(socket)}
        return replace(self.occ, shell=shell)

    def knows(self, there: Host) -> None:
        """Have connected to a host by hand before."""
        lines = [f"{there.address} {key}\n" for key in there.host_keys.split(",")]
        (self.ssh / "known_hosts").write_text("".join(lines))

    def file(self, name: str) -> Path:
        return self.operator.checkout / "stacks" / f"Pulumi.{name}.yaml"

    def left(self) -> list[str]:
        """What there is of stacks."""
        return sorted(path.name for path in self.file("x").parent.iterdir())


@pytest.fixture(scope="module")
def person(
    root: Path,
    box: Host,
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Person:
    folder = tmp_path_factory.mktemp("person")
    made = Person(remote_operator(root, folder, box, docker_client), folder / "ssh")
    made.ssh.mkdir()
    config, ssh = made.ssh / "config", made.ssh / "ssh"
    config.write_text(f"UserKnownHostsFile {made.ssh}/known_hosts\n")
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
    ssh.chmod(0o755)
    return made


@pytest.fixture(scope="module")
def bare(
    docker_client: docker.DockerClient,
    network: Network,
    box: Host,
    archive: Path,
) -> Iterator[Host]:
    """A host without Docker; it lets the same key in."""
    folder = box.key.parent
    with host.host(
        docker_client, network, folder, number=3, archive=archive, has_docker=False
    ) as booted:
        yield booted


@pytest.fixture
def agent(box: Host, tmp_path: Path) -> Iterator[Path]:
    """An agent with a key that is in no file, and that box and bare let in."""
    socket = tmp_path / "agent"
    command = ["ssh-agent", "-D", "-a", str(socket)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(socket.exists, 20, lambda: "the agent does not start")
            environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
            subprocess.run(["ssh-add", "-q", str(box.key)], env=environment, check=True)
            yield socket
        finally:
            process.terminate()


def where(there: Host, user: str = "ada") -> str:
    return f"{user}@{there.address}"


def by(there: Host) -> tuple[str, ...]:
    return ("--identity", str(there.key))


def keys(there: Host) -> tuple[str, ...]:
    return ("--host-key", there.host_keys)


def test_a_new_key_is_shown_and_asked_about_on_a_terminal(person: Person, box: Host):
    shown = box.as_root("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    before = person.left()
    with person.occ.on_terminal("host", "add", "box", where(box), *by(box)) as terminal:
        assert shown in terminal.expect("Is it the same? [y/N]")
        terminal.press("n\r")
        assert terminal.ends() == 1
    assert person.left() == before
    with person.occ.on_terminal("host", "add", "box", where(box), *by(box)) as terminal:
        terminal.expect("Is it the same? [y/N]")
        terminal.press("y\r")
        found = terminal.expect("To deploy to it: occ --host box setup")
        assert terminal.ends() == 0
    for said in ("Debian GNU/Linux 13", "4096 is free", "26.1", "/var/run/docker.sock", "GiB left"):
        assert said in found, found
    assert "opencode:target: ssh" in person.file("box").read_text()
    assert json.loads(person.occ("host", "show", "box", "--json"))["host_keys"] == [
        {"type": "ssh-ed25519", "fingerprint": shown}
    ]


def test_nobody_to_ask_for_a_key_gets_the_command_that_gives_it(person: Person, box: Host):
    before = person.left()
    said = person.occ.refused("host", "add", "second", where(box), *by(box), "--yes")
    command = said.partition("say so: ")[2].strip()
    assert command.startswith(f"occ host add second {where(box)}")
    assert person.left() == before
    key = command.partition("--host-key '")[2].rstrip("'")
    dry = person.occ("host", "add", "second", where(box), *by(box), "--host-key", key, "--dry-run")
    assert f"opencode:ssh_host: {where(box)}" in dry
    assert person.left() == before, "--dry-run writes nothing"
    person.occ("host", "add", "second", where(box), *by(box), "--host-key", key, "--group", "lab")
    assert person.occ("host", "remove", "second", "--yes") == "The host 'second' is removed.\n"
    assert person.left() == before


def test_what_is_wrong_with_a_host_is_told_and_nothing_is_made(
    person: Person, box: Host, tmp_path: Path
):
    make_key(tmp_path / "other")
    other = (tmp_path / "other.pub").read_text().rpartition(" ")[0]
    before = person.left()
    refusals = {
        ("box", where(box)): "There is a stack 'box' already",
        ("no name", where(box)): "cannot be a stack's name",
        ("local", where(box)): "this machine's own deployment",
        ("new", "a b"): "is no host that ssh could be given",
        ("new", "ada@nowhere.invalid"): "Could not resolve hostname",
        ("new", where(box), "--port", "1", "--wait", "0"): "Connection refused",
        ("new", where(box), "--host-key", other, *by(box)): "another host key than the one that",
        ("new", where(box), "-i", str(tmp_path / "other"), *keys(box)): "lets none of your keys in",
        ("new", where(box), *by(box), *keys(box), "--docker-host", "tcp://x:1"): "no login",
    }
    for words, wanted in refusals.items():
        said = person.occ.refused("host", "add", *words)
        assert wanted in said, (words, said)
        assert "occ host edit" not in said or words[0] == "box", said
    assert person.left() == before


def test_hosts_are_listed_shown_tested_and_edited(person: Person, box: Host, root: Path):
    occ = person.occ
    occ("host", "edit", "box", "--group", "lab", "--group", "prod")
    for name, words in {
        "host-list": ("list",),
        "host-show": ("show", "box"),
        "host-test": ("test", "box"),
    }.items():
        found = json.loads(occ("host", *words, "--json"))
        jsonschema.validate(found, json.loads((root / f"schemas/{name}.schema.json").read_text()))
    listed = json.loads(occ("host", "list", "--group", "prod", "--json"))
    assert [(each["name"], each["reachable"]) for each in listed] == [("box", True)]
    assert occ("host", "list", "--group", "none", "--quiet") == ""
    assert "Debian GNU/Linux 13" in occ("host", "list")
    before = person.file("box").read_text()
    said = occ.refused("host", "edit", "box", "--port", "1", "--wait", "0")
    assert "Connection refused" in said
    assert person.file("box").read_text() == before
    assert occ.attempt("host", "edit", "box", "--port", "1", "--no-check").returncode == 0
    lost = occ.attempt("host", "test", "box", "--json")
    assert lost.returncode == 1
    assert json.loads(lost.stdout)["findings"][0]["check"] == "machine.connection"
    assert "not reachable" in occ("host", "list")
    occ("host", "edit", "box", "--port", "22")


def test_the_default_host_is_meant_where_none_is_named(person: Person):
    occ = person.occ
    assert occ("host", "default") == "local\n"
    assert "'none'" in occ.refused("host", "default", "none")
    occ("host", "default", "box")
    try:
        # Two ways: the quick one, and the one with a parser.
        assert json.loads(occ.attempt("status", "--json").stdout)["stack"] == "box"
        assert "the stack 'box'" in occ.refused("user", "list").replace("deployment", "the stack")
        assert "the default" in occ("host", "list")
    finally:
        occ("host", "default", "--unset")
    assert occ("host", "default") == "local\n"


def test_a_key_of_the_agents_alone_leads_there_and_through_a_jump_host(
    person: Person, box: Host, bare: Host, agent: Path
):
    occ = person.with_agent(agent)
    jump = ("host", "add", "behind", where(bare), *keys(bare), "--jump", where(box), "--yes")
    said = occ.refused(*jump)
    assert "goes through another host" in said, said
    person.knows(box)
    occ(*jump)
    found = json.loads(occ.attempt("host", "test", "behind", "--json").stdout)
    assert found["facts"]["user"]["name"] == "ada"
    assert found["well"] is False, "it has no Docker"
    assert bare.as_root("journalctl -u ssh --no-pager -q").count(f"from {box.address}") > 0
    occ("host", "remove", "behind", "--forget", "--yes")


def test_docker_is_installed_on_a_host_that_has_none_and_a_deployment_runs_there(
    person: Person, bare: Host, image: str
):
    occ = person.occ
    add = ("host", "add", "bare", where(bare), *by(bare), *keys(bare))
    said = occ.attempt(*add)
    assert said.returncode == 1
    assert b"Docker is not installed" in said.stdout
    assert b"--install-docker" in said.stdout
    asked = occ.refused(*add, "--install-docker")
    assert "sudo apt-get" in asked
    assert bare.run("command -v dockerd", user="root").code, "nothing was installed unasked"
    assert not person.file("bare").exists()
    installing = occ.begin(*add, "--install-docker", "--yes")
    try:
        done, error = installing.communicate(timeout=INSTALL_SECONDS)
    finally:
        installing.kill()
    assert installing.returncode == 0, (done, error)
    assert b"answers at /var/run/docker.sock" in done
    assert json.loads(occ("host", "test", "bare", "--json"))["well"] is True
    bare.load()
    bare.as_root(f"docker tag {image} opencode-cloud:bare-{KEPT}")
    assert "nothing to install" in occ("host", "edit", "bare", "--install-docker")
    stack = replace(person.operator.deployment.stack, name="bare")
    stack.create({"kept_image": f"opencode-cloud:bare-{KEPT}"})
    stack.up()
    assert json.loads(occ("--host", "bare", "status", "--json"))["health"] == "healthy"
    assert "occ --host bare uninstall" in occ.refused("host", "remove", "bare", "--yes")


def test_who_has_no_rights_is_told_what_to_run(person: Person, box: Host):
    box.as_root(NOBODYS)
    occ = person.occ
    add = ("host", "add", "eves", where(box, "eve"), *by(box), *keys(box))
    said = occ.attempt(*add)
    assert said.returncode == 1
    assert b"eve may not use Docker there" in said.stdout
    install = occ.refused(*add, "--install-docker", "--yes")
    assert "usermod --append --groups docker eve" in install
    assert "no sudo" in install
    assert not person.file("eves").exists()


def test_a_rootless_docker_is_found_by_its_socket(person: Person, box: Host):
    box.as_root(ROOTLESS)
    occ = person.occ
    done = occ("host", "add", "robs", where(box, "rob"), *by(box), *keys(box))
    uid = box.as_root("id -u rob").strip()
    assert f"answers at /run/user/{uid}/docker.sock (rootless)" in done
    assert f"opencode:docker_host: unix:///run/user/{uid}/docker.sock" in (
        person.file("robs").read_text()
    )
    # Its engine is asked, and has no deployment.
    assert "There is no deployment 'robs'" in occ.refused("--host", "robs", "user", "list")
    occ("host", "remove", "robs", "--yes")


def test_a_changed_host_key_stops_every_command_until_it_is_accepted(person: Person, box: Host):
    occ = person.occ
    box.as_root("rm /etc/ssh/ssh_host_*")
    box.restart()
    for words in (("--host", "box", "user", "list"), ("host", "edit", "box", "--user", "root")):
        said = occ.refused(*words)
        assert "its host key is another one" in said
        assert "occ host edit box --accept-host-key" in said
    assert occ.attempt("host", "test", "box").returncode == 1
    occ("host", "edit", "box", "--accept-host-key")
    assert occ.attempt("host", "test", "box").returncode == 0


def test_a_host_that_is_still_booting_is_waited_for(person: Person, box: Host):
    words = ("host", "add", "slow", where(box), *by(box), *keys(box))
    box.power_off()
    adding = person.occ.begin(*words)
    try:
        box.power_on()
        out, err = adding.communicate(timeout=180)
    finally:
        adding.kill()
    assert adding.returncode == 0, (out, err)
    assert b"The host 'slow' is added" in out


def test_a_host_that_is_gone_is_forgotten_without_asking_it(person: Person, box: Host):
    occ = person.occ
    box.power_off()
    try:
        said = occ.refused("host", "remove", "slow", "--yes")
        assert "occ host remove slow --forget" in said
        listed = json.loads(occ("host", "list", "--json"))
        assert {each["name"] for each in listed if each["reachable"]} <= {"bare"}
        assert all(each["facts"] for each in listed), "as they were seen last"
        occ("host", "remove", "slow", "--forget", "--yes")
        assert not person.file("slow").exists()
    finally:
        box.power_on()


def test_interrupted_it_leaves_nothing(person: Person, box: Host):
    before = person.left()
    with person.occ.on_terminal("host", "add", "half", where(box), *by(box)) as terminal:
        terminal.expect("Is it the same? [y/N]")
        terminal.press("\x03")
        terminal.expect("Nothing was changed.")
        assert terminal.ends() == 130
    assert person.left() == before
