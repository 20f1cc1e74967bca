"""`occ open` and `occ attach` on a host: through a tunnel, with nothing exposed."""

import os
import re
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import pytest
import requests

from tests.engine.argv_watch import ArgvWatch
from tests.engine.container import BASIC, BROWSER, LANDING, Running
from tests.engine.deployment import free_port
from tests.engine.terminal import Terminal
from tests.engine.test_gateway import open_terminal
from tests.engine.turns import DEFAULT_PORT, in_turn
from tests.machine.conftest import RemoteOperator

SECONDS = 120


class Open:
    """`occ open --print`, while it runs."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.said = ""
        assert process.stdout
        self.url = process.stdout.readline().decode().strip()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self.said += line.decode()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.1)

    def wait_healthy(self, verify: "bool | str" = True) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            with suppress(requests.RequestException):
                if requests.get(f"{self.url}/health", timeout=5, verify=verify).ok:
                    return
            assert time.monotonic() < deadline, self.said
            time.sleep(0.5)


@contextmanager
def opened(remote: RemoteOperator, *words: str) -> Iterator[Open]:
    """Have a tunnel open as a person has, and end it as a person does."""
    with remote.occ.begin("open", "--print", *words) as process:
        try:
            yield Open(process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)


def listeners(port: int) -> list[str]:
    """The addresses of this machine at which somebody listens on a port."""
    shown = subprocess.run(
        ["ss", "-Hltn", f"sport = :{port}"], check=True, capture_output=True, text=True
    )
    return [line.split()[3] for line in shown.stdout.splitlines()]


@pytest.fixture(autouse=True)
def default_port() -> Iterator[None]:
    """The port that a tunnel takes when it is given none."""
    with in_turn(DEFAULT_PORT):
        yield


def test_a_browser_is_at_home_in_the_tunnel(
    remote: RemoteOperator, docker_client: docker.DockerClient, image: str
):
    with opened(remote) as tunnel:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", tunnel.url), tunnel.said
        visitor = Running(docker_client, image)
        visitor.url = tunnel.url
        browser = requests.Session()
        answer = visitor.send_form(browser)
        assert (answer.status_code, answer.headers["Location"]) == (303, LANDING)
        page = browser.get(tunnel.url + LANDING, headers=BROWSER, timeout=SECONDS)
        assert "<title>OpenCode</title>" in page.text
        with browser.get(f"{tunnel.url}/event", stream=True, timeout=SECONDS) as events:
            assert b"server.connected" in next(events.iter_lines())
        with open_terminal(visitor, browser, {"Origin": tunnel.url}) as terminal:
            terminal.send("hostname\n")
            seen = ""
            while f"opencode-{remote.stack}" not in seen:
                message = terminal.recv(timeout=SECONDS)
                seen += message if isinstance(message, str) else message.decode(errors="replace")


def test_the_tunnel_is_this_machines_alone_and_ends_with_the_command(remote: RemoteOperator):
    port = free_port()
    with opened(remote, "--local-port", str(port)) as tunnel:
        assert tunnel.url == f"http://127.0.0.1:{port}"
        tunnel.wait_for("until Ctrl-C")
        assert listeners(port) == [f"127.0.0.1:{port}"]
        there = remote.there.as_root("ss -Hltn 'sport = :4096'").split()
        assert "127.0.0.1:4096" in there
    assert tunnel.process.returncode == 0, tunnel.said
    assert listeners(port) == []


def test_a_tunnel_whose_command_is_killed_ends_too(remote: RemoteOperator):
    port = free_port()
    with opened(remote, "--local-port", str(port)) as tunnel:
        tunnel.process.kill()
        deadline = time.monotonic() + SECONDS
        while listeners(port):
            assert time.monotonic() < deadline, tunnel.said
            time.sleep(0.1)


def test_a_port_that_is_taken_is_said_and_the_next_one_is_found(remote: RemoteOperator):
    with opened(remote) as first:
        taken = first.url.rpartition(":")[2]
        said = remote.occ.refused("open", "--local-port", taken)
        assert f"Port {taken} is in use by ssh" in said
        assert "--local-port" in said
        with opened(remote) as second:
            second.wait_healthy()
            assert second.url != first.url


def test_the_same_tunnel_by_ssh_alone_is_printed(remote: RemoteOperator):
    shown = remote.occ("open", "--print-ssh", "--local-port", "45678")
    command, after = shown.splitlines()
    assert command.startswith("ssh -N -L 127.0.0.1:45678:127.0.0.1:4096 -i ")
    assert command.endswith(f" ada@{remote.there.address}")
    assert after == "# then open http://127.0.0.1:45678"


def test_status_says_how_it_is_reached_from_here(remote: RemoteOperator):
    assert re.search(
        rf"URL +http://127\.0\.0\.1:4096, on its host\nFrom here +occ --host {remote.stack} open",
        remote.occ("status"),
    )


def test_a_server_that_allows_no_tunnels_is_told_apart(remote: RemoteOperator):
    drop_in = "/etc/ssh/sshd_config.d/tunnels.conf"
    remote.there.as_root(f"echo 'AllowTcpForwarding no' > {drop_in}; systemctl reload ssh")
    try:
        assert "AllowTcpForwarding" in remote.occ.refused("open", "--print")
    finally:
        remote.there.as_root(f"rm {drop_in}; systemctl reload ssh")


def test_opencode_attaches_with_a_password_that_no_command_line_shows(
    remote: RemoteOperator, docker_client: docker.DockerClient, image: str, tmp_path: Path
):
    made = docker_client.containers.create(image)
    try:
        copied = ("docker", "cp", f"{made.id}:/usr/local/bin/opencode", str(tmp_path / "opencode"))
        subprocess.run(copied, check=True, capture_output=True)
    finally:
        made.remove()
    occ = remote.occ
    # No other test, of which one may run beside this, has this password on a command line.
    name, password = "watched", secrets.token_hex(16)
    occ("user", "add", name, "--password-stdin", stdin=f"{password}\n".encode())
    shell = {**occ.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = occ.command(["attach", "--user", name])
    with ArgvWatch() as watch, Terminal(command, shell) as screen:
        screen.expect(f"Password for {name}: ")
        screen.press(f"{password}\n")
        screen.resize(40, 120)
        screen.expect("/workspace", SECONDS)
        screen.press("\x03")
        assert screen.ends() == 0
    attached = [line for line in watch.seen if b"\0attach\0http://127.0.0.1:" in line]
    assert attached
    assert [line for line in watch.seen if password.encode() in line] == []


def test_attach_says_what_is_missing_before_it_takes_the_screen(remote: RemoteOperator):
    occ = remote.occ
    said = occ.refused("attach")
    assert "npm install -g opencode-ai@1." in said
    assert "opencode attach http://127.0.0.1:" in said


def test_a_host_that_goes_away_is_waited_for(remote: RemoteOperator):
    with opened(remote) as tunnel:
        tunnel.wait_healthy()
        remote.there.power_off()
        tunnel.wait_for("is lost")
        remote.there.power_on()
        tunnel.wait_for("is there again")
        tunnel.wait_healthy()


def test_its_own_https_works_through_the_tunnel(remote: RemoteOperator, tmp_path: Path):
    remote.occ("config", "set", "tls", "internal", "--apply")
    authority = tmp_path / "authority.pem"
    authority.write_text(remote.occ("shell", "--root", "opencode-certificate", "ca"))
    with opened(remote) as tunnel:
        assert tunnel.url.startswith("https://127.0.0.1:")
        tunnel.wait_healthy(str(authority))
        path = requests.get(f"{tunnel.url}/path", auth=BASIC, verify=str(authority), timeout=30)
        assert path.json()["directory"] == "/workspace"
