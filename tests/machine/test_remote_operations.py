"""`occ` on a host over SSH: it is the host that is looked at, and where all of it happens.

The host has no registry. What is built there is built on the image that was put beside it.
"""

import json
import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml

from tests.engine import terminal
from tests.engine.deployment import PASSWORD, USER
from tests.machine.conftest import RemoteOperator, remote_operator
from tests.machine.host import Host

ENTER, ALL_BACK = "\r", "\x15"
BASE = "opencode-cloud-test:base"
RUN = "usr/lib/opencode-cloud/services/opencode/run"
THEIRS = 1234
"""Who owns the folder that is mounted."""
SECRET = "planted-secret-planted"
LISTENS = (
    "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', "
    "LocalPort => shift, Listen => 1) or die; sleep 100000"
)
TAKEN, ROOTS = 4096, 4200
SECONDS = 600


@dataclass(frozen=True)
class Deployed:
    """A deployment that the wizard made, and what it showed."""

    by: RemoteOperator
    shown: str

    @property
    def there(self) -> Host:
        return self.by.there

    @property
    def name(self) -> str:
        """How the host is called everywhere."""
        return f"{self.there.user}@{self.there.address}"

    @property
    def container(self) -> str:
        return f"opencode-{self.by.stack}"

    def inside(self, script: str, user: str = "root") -> str:
        """Run a script in the container, by the host's own Docker."""
        words = ("docker", "exec", "--user", user, self.container, "sh", "-c", script)
        return self.there.as_root(shlex.join(words))

    def login(self, password: str = PASSWORD) -> str:
        """Give the status that the login page's own address answers, on the host."""
        url = json.loads(self.by.occ("status", "--json"))["url"]
        return self.there.as_root(
            f"curl -s -o /dev/null -w %{{http_code}} -u {USER}:{shlex.quote(password)} {url}/"
        )


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """What is waited for takes a deployment's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal, "SECONDS", SECONDS)
        patch.setattr("tests.engine.occ.SECONDS", SECONDS)
        yield


@pytest.fixture(scope="module")
def operator(
    root: Path,
    box: Host,
    image: str,
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> RemoteOperator:
    """Somebody whose settings name the host, and nothing of whom is there."""
    made = remote_operator(root, tmp_path_factory.mktemp("remote"), box, docker_client)
    (made.data / "passphrase").chmod(0o600)
    box.as_root(
        f"docker tag {image} {BASE}; install -d -o {THEIRS} -g {THEIRS} -m 755 /srv/work; "
        "ln -s work /srv/link"
    )
    # As the real one ends, and without what only a registry has.
    (made.checkout / "docker" / "Dockerfile").write_text(
        f"ARG BASE_IMAGE={BASE}\nFROM ${{BASE_IMAGE}}\nCOPY rootfs/{RUN} /{RUN}\n"
    )
    settings = box.settings | {"puid": str(THEIRS), "pgid": str(THEIRS), "image_source": "build"}
    config = {f"opencode:{name}": value for name, value in settings.items()}
    made.stack_file.write_text(yaml.safe_dump({"config": config}))
    return made


def listen(there: Host, port: int, user: str) -> None:
    """Have a program of a user's listen on a port of the host's loopback."""
    there.container.exec_run(["perl", "-e", LISTENS, str(port)], user=user, detach=True)
    there.as_root(
        f"for i in $(seq 100); do ss -ltn | grep -q :{port} && exit; sleep 0.1; done; exit 1"
    )


@pytest.fixture(scope="module")
def deployed(operator: RemoteOperator) -> Deployed:
    """The whole wizard, on a host where somebody has the port already."""
    there = operator.there
    name = f"{there.user}@{there.address}"
    listen(there, TAKEN, "ada")
    with operator.occ.on_terminal("setup", "--image-source", "build") as screen:
        screen.expect(f"Setting up opencode on {name} (remote)")
        screen.expect(f"[{operator.stack} on {name} (remote)]")
        screen.expect("Answer at")
        screen.press(ENTER)
        screen.expect(f"Port {TAKEN} is in use by perl (process ")
        screen.expect("Port:")
        screen.press(ENTER)
        screen.expect("Folders (empty")
        screen.press(f"/srv/none:/workspace/x{ENTER}")
        screen.expect("does not exist on")
        screen.press(f"{ALL_BACK}/srv/link:/workspace/work{ENTER}")
        screen.expect("Restart it")
        screen.press(ENTER)
        screen.expect("First user")
        screen.press(f"{ALL_BACK}{USER}{ENTER}")
        screen.expect("Password of")
        # The second choice: to type one.
        screen.press(f"j{ENTER}")
        screen.expect(f"Password for {USER}")
        screen.press(f"{PASSWORD}{ENTER}")
        screen.expect("The same again")
        screen.press(f"{PASSWORD}{ENTER}")
        screen.expect("Name of a key")
        screen.press(ENTER)
        summary = screen.expect("Do it?")
        assert f"This will be done on {name} (remote), for the stack '{operator.stack}'" in summary
        assert f"http://127.0.0.1:{TAKEN + 1}" in summary
        screen.press("y")
        assert screen.ends() == 0, screen.shown
        return Deployed(operator, screen.shown)


def test_the_wizard_ends_with_how_to_reach_the_host(deployed: Deployed):
    stack, port = deployed.by.stack, TAKEN + 1
    assert f"opencode runs on {deployed.name} (remote), as the stack '{stack}'" in deployed.shown
    assert f"occ --host {stack} open" in deployed.shown
    assert f"ssh -N -L 127.0.0.1:{port}:127.0.0.1:{port} " in deployed.shown


def test_its_user_signs_in_there_and_nothing_of_it_is_here(
    deployed: Deployed, docker_client: docker.DockerClient
):
    assert deployed.login() == "200"
    assert deployed.login("not the password") == "401"
    mine: dict[str, str | list[str] | bool] = {
        "label": f"org.opencode-cloud.stack={deployed.by.stack}"
    }
    assert docker_client.containers.list(all=True, filters=mine) == []
    assert docker_client.volumes.list(filters=mine) == []


def test_again_it_offers_what_there_is_and_changes_nothing(deployed: Deployed):
    said = deployed.by.occ("setup", "--yes")
    assert f"{USER} can log in already" in said
    assert "no change" in said


def test_the_folder_is_the_hosts_and_what_is_made_in_it_its_owners(deployed: Deployed):
    deployed.by.occ("shell", "touch", "/workspace/work/made")
    assert deployed.there.as_root("stat -c '%u %g' /srv/work/made").split() == [str(THEIRS)] * 2
    listed = json.loads(deployed.by.occ("mount", "list", "--json"))
    assert [(each["source"], each["state"]) for each in listed] == [("/srv/work", "active")]


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("/srv/none:/workspace/x", "does not exist on"),
        ("/etc/hostname:/workspace/x", "is not a folder on"),
        ("/root/.ssh:/workspace/x", "cannot be looked at on"),
        ("/run:/workspace/x:ro", "makes its user root on"),
        ("/home/ada:/workspace/x:ro", "is a whole home folder"),
    ],
)
def test_a_mount_is_judged_by_what_is_on_the_host(deployed: Deployed, mount: str, words: str):
    before = deployed.by.stack_file.read_text()
    assert words in deployed.by.occ.refused("mount", "add", mount)
    assert deployed.by.stack_file.read_text() == before


def test_pulumi_looks_at_the_hosts_folders_too(deployed: Deployed):
    stack = deployed.by.deployment.stack
    deployed.there.as_root("mv /srv/work /srv/away")
    try:
        with pytest.raises(AssertionError, match=f"does not exist on {deployed.name}"):
            stack.preview()
    finally:
        deployed.there.as_root("mv /srv/away /srv/work")


def test_who_has_a_port_of_the_host_is_named(deployed: Deployed):
    occ = deployed.by.occ
    said = occ.refused("start", "--port", str(TAKEN))
    assert f"Port {TAKEN} of {deployed.name} is in use by perl (process " in said
    assert f"on {deployed.name}, kill " in said
    # Of another user's program, no more may be seen.
    listen(deployed.there, ROOTS, "root")
    said = occ.refused("start", "--port", str(ROOTS))
    assert f"Port {ROOTS} of {deployed.name} is in use by a program of the user root" in said
    deployed.there.as_root(
        f"docker run -d --name squat -p 127.0.0.1:4300:80 --entrypoint sleep {BASE} 1000"
    )
    assert "in use by the container squat" in occ.refused("start", "--port", "4300")
    deployed.there.as_root("docker rm -f squat")
    assert deployed.login() == "200"


def test_status_and_doctor_say_which_host_and_how_it_does(deployed: Deployed):
    status = json.loads(deployed.by.occ("status", "--json"))
    assert (status["host"], status["health"]) == (deployed.name, "healthy")
    assert status["boot"]["docker_enabled"] is True
    assert f"Host        {deployed.name}" in deployed.by.occ("status")
    report = json.loads(deployed.by.occ("doctor", "--json"))
    found = {each["check"]: each for each in report["findings"]}
    assert report["host"] == deployed.name
    assert report["well"], report
    for check in ("reach", "system", "room", "memory", "clock"):
        assert found[f"host.{check}"]["outcome"] in ("ok", "warning"), found
    assert "trixie" in found["host.system"]["what"]
    assert found["deployment.port"]["outcome"] == "ok"


def test_a_shell_there_has_the_size_of_the_terminal_here(deployed: Deployed):
    with deployed.by.occ.on_terminal("shell") as screen:
        screen.resize(33, 101)
        screen.expect("/workspace$ ")
        screen.press("stty size; echo at-$(hostname)\r")
        screen.expect("33 101")
        screen.expect(f"at-{deployed.container}")
        screen.resize(44, 121)
        screen.press("sleep 1; stty size\r")
        screen.expect("44 121")
        screen.press("exit 7\r")
        assert screen.ends() == 7


def test_logs_are_followed_until_one_has_seen_enough(deployed: Deployed):
    deployed.inside("echo 'session      | one' > /proc/1/fd/1")
    following = deployed.by.occ.begin("logs", "--follow", "--process", "session", "-n", "1")
    assert following.stdout
    assert following.stdout.readline() == b"session      | one\n"
    deployed.inside("echo 'session      | two' > /proc/1/fd/1")
    assert following.stdout.readline() == b"session      | two\n"
    following.send_signal(signal.SIGINT)
    assert following.wait(SECONDS) == 130


def test_secrets_and_variables_are_in_the_hosts_container(deployed: Deployed):
    occ = deployed.by.occ
    occ("env", "set", "PLANTED=plain")
    occ("secret", "set", "TOKEN", "--stdin", "--apply", stdin=SECRET.encode())
    opencode = "$(pgrep --full '^opencode serve' | head -1)"
    # Root may not look into it; the agent may.
    environment = deployed.inside(f"tr '\\0' '\\n' < /proc/{opencode}/environ", "opencode")
    assert {f"TOKEN={SECRET}", "PLANTED=plain"} <= set(environment.splitlines())
    assert occ("shell", "sh", "-c", "echo $PLANTED").strip() == "plain"
    assert SECRET not in deployed.there.as_root(f"docker inspect {deployed.container}")
    assert SECRET not in deployed.by.stack_file.read_text()


def test_a_backup_comes_here_and_goes_back_there(deployed: Deployed, tmp_path: Path):
    deployed.inside("echo before > /workspace/kept")
    made = json.loads(deployed.by.occ("backup", "create", "--to", str(tmp_path), "--json"))
    assert Path(made["where"]).parent == tmp_path
    deployed.inside("echo after > /workspace/kept")
    said = deployed.by.occ("backup", "restore", made["where"], "--yes")
    assert f"on {deployed.name}" in said
    assert deployed.inside("cat /workspace/kept") == "before\n"


def test_what_is_broken_is_put_back_there(deployed: Deployed):
    file = deployed.by.checkout / "docker" / "rootfs" / RUN
    before = file.read_text()
    head, rest = before.split("\n", 1)
    file.write_text(f"{head}\nexec 2>&1; echo 'this opencode is broken'; exit 1\n{rest}")
    image = "docker inspect --format '{{.Image}}' " + deployed.container
    ran = deployed.there.as_root(image)
    try:
        said = deployed.by.occ.attempt("update", "--yes")
    finally:
        file.write_text(before)
    assert said.returncode == 1, said
    assert "this opencode is broken" in said.stderr.decode()
    assert deployed.there.as_root(image) == ran
    assert deployed.login() == "200"
    assert deployed.inside("cat /workspace/kept") == "before\n"


def test_what_is_wrong_with_the_host_is_said_with_what_mends_it(deployed: Deployed):
    there, occ = deployed.there, deployed.by.occ
    # The connection that commands share has the rights of when it began.
    again = "pkill -u ada sshd; true"
    there.as_root(f"gpasswd -d ada docker; {again}")
    said = occ.refused("user", "list")
    assert f"On {deployed.name}: sudo usermod -aG docker ada" in said
    assert "may not use it" in occ.refused("setup", "--yes")
    there.as_root(f"usermod -aG docker ada; {again}; systemctl stop docker.socket docker")
    said = occ.refused("user", "list")
    assert f"On {deployed.name}: sudo systemctl enable --now docker" in said
    there.as_root(f"systemctl stop ssh.socket ssh; {again}")
    said = occ.refused("user", "list")
    assert f"{deployed.name} cannot be reached over SSH" in said
    report = json.loads(occ.attempt("doctor", "--json").stdout)
    found = {each["check"]: each["outcome"] for each in report["findings"]}
    assert found["host.reach"] == "problem"
    assert found["docker.socket"] == found["deployment.all"] == "skipped"
    there.as_root("systemctl start ssh docker")
    there.wait_reachable()


def test_removed_it_is_gone_there_and_what_is_left_is_said(deployed: Deployed):
    said = deployed.by.occ("uninstall", "--yes")
    assert f"Removed {deployed.by.stack} on {deployed.name}." in said
    assert f"on {deployed.name}: docker volume rm " in said
    assert deployed.there.as_root("docker ps -aq") == ""
