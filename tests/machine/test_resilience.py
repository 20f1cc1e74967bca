"""What befalls hosts, networks and operators in mid-`up`: a clear word, and nothing lost."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from docker.models.networks import Network

from opencode_cloud.start.process import _descendants
from tests.engine.deployment import USER
from tests.engine.stack import PulumiFailedError
from tests.machine.conftest import RemoteOperator
from tests.machine.host import Host

SECONDS = 240
_ELSEWHERE = ("unshare", "--uts", "sh", "-c", 'hostname second && exec "$@"', "sh")
KEPT_FILE = "/workspace/kept.txt"
FREED_BY_RESTART = "sudo systemctl restart docker"


def container(remote: RemoteOperator) -> str:
    """The id of the deployment's container; empty while there is none."""
    name = f"opencode-{remote.stack}"
    return remote.there.as_root(f"docker ps -aq --filter name=^{name}$").strip()


@contextmanager
def in_mid_up(remote: RemoteOperator, mark: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Have `occ start` at the point where the old container has gone."""
    remote.occ("shell", "sh", "-c", f"echo {mark} >> {KEPT_FILE}")
    # In the container's environment, so that another one has to come.
    remote.occ("config", "set", "hostnames", f"mark-{mark}.example.org")
    before = container(remote)
    with remote.occ.begin("start") as process:
        deadline = time.monotonic() + SECONDS
        while container(remote) == before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process


def fails(process: "subprocess.Popen[bytes]") -> str:
    """Wait until it ends; gives what it said."""
    _, said = process.communicate(timeout=SECONDS)
    text = said.decode()
    assert process.returncode == 1, text
    assert "Traceback" not in text
    return text


def goes_on(remote: RemoteOperator, mark: int) -> str:
    """The next `occ start` comes to what was wanted, with all that was there; gives its words."""
    done = remote.occ.attempt("start")
    assert done.returncode == 0, done
    told = remote.there.as_root(f"docker inspect -f '{{{{.Config.Env}}}}' {container(remote)}")
    assert f"mark-{mark}.example.org" in told
    assert remote.occ("shell", "cat", KEPT_FILE).split()[-1] == str(mark)
    assert USER in remote.occ("user", "list")
    return done.stderr.decode()


def test_every_resource_at_once_takes_one_connection(remote: RemoteOperator):
    remote.deployment.stack.destroy()
    drop_in = "/etc/ssh/sshd_config.d/startups.conf"
    remote.there.as_root(f"echo 'MaxStartups 2:100:2' > {drop_in}; systemctl reload ssh")
    began = remote.there.as_root("date +%s").strip()
    try:
        remote.occ("start")
    finally:
        remote.there.as_root(f"rm {drop_in}; systemctl reload ssh")
    log = remote.there.as_root(f"journalctl -u ssh --since @{began} --no-pager")
    assert "MaxStartups" not in log.replace("MaxStartups 2", "")
    assert len(re.findall("Accepted publickey", log)) <= 1, log


def test_a_host_that_loses_its_power_in_mid_up(remote: RemoteOperator):
    with in_mid_up(remote, 1) as process:
        remote.there.power_off()
        said = fails(process)
    assert remote.there.address in said or "ada@" in said
    remote.there.power_on()
    first = remote.occ.attempt("start").stderr.decode()
    # In one moment of a container's start, Docker has its port afterwards for nobody.
    if FREED_BY_RESTART in first:
        remote.there.as_root("systemctl restart docker")
    goes_on(remote, 1)


def test_a_port_that_docker_keeps_after_a_power_failure_is_freed_as_it_is_said(
    remote: RemoteOperator,
):
    remote.occ("stop")
    words = "-proto tcp -host-ip 127.0.0.1 -host-port 4096 -container-ip 127.0.0.1"
    remote.there.as_root(
        f"systemd-run --unit=left --quiet sh -c 'exec docker-proxy {words} -container-port 1 3>&1'"
    )
    done = remote.occ.attempt("start")
    remote.there.as_root("systemctl stop left")
    assert done.returncode == 1
    assert "Docker, for a container that it does not run" in done.stderr.decode()
    assert FREED_BY_RESTART in done.stderr.decode()
    remote.occ("start")


@contextmanager
def cut_off(there: Host) -> Iterator[None]:
    """Let nothing through between the host's SSH server and others."""
    rules = ("INPUT -p tcp --dport 22", "OUTPUT -p tcp --sport 22")
    there.as_root(" && ".join(f"iptables -I {rule} -j DROP" for rule in rules))
    try:
        yield
    finally:
        there.as_root(" && ".join(f"iptables -D {rule} -j DROP" for rule in rules))


def test_a_network_that_is_gone_for_seconds_is_not_noticed(remote: RemoteOperator):
    with in_mid_up(remote, 2) as process:
        with cut_off(remote.there):
            time.sleep(6)
        out, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        assert b"opencode answers" in out
    goes_on(remote, 2)


def test_a_network_that_stays_away_in_mid_up(remote: RemoteOperator):
    with in_mid_up(remote, 3) as process, cut_off(remote.there):
        fails(process)
    goes_on(remote, 3)


def test_a_host_that_comes_back_at_another_address(remote: RemoteOperator, network: Network):
    before = container(remote)
    other = f"{remote.there.address.rpartition('.')[0]}.99"
    network.disconnect(remote.there.container)
    network.connect(remote.there.container, ipv4_address=other)
    try:
        said = remote.occ.refused("status")
        assert "has moved" in said
        remote.occ("config", "set", "ssh_host", f"ada@{other}")
        remote.occ("start")
        # It is the same host by its key, and nothing there is made anew.
        assert container(remote) == before
        assert "occ --host" in remote.occ("status")
    finally:
        network.disconnect(remote.there.container)
        network.connect(remote.there.container, ipv4_address=remote.there.address)
        remote.occ("config", "set", "ssh_host", f"ada@{remote.there.address}")
    remote.occ("start")
    assert container(remote) == before


def send(number: signal.Signals, processes: set[int]) -> None:
    for process in processes:
        # It may have ended just now.
        with suppress(ProcessLookupError):
            os.kill(process, number)


def test_an_operator_who_was_killed_in_mid_up_leaves_no_lock(remote: RemoteOperator):
    with in_mid_up(remote, 5) as process:
        send(signal.SIGKILL, {process.pid} | _descendants(process.pid))
    assert "freed the stack" in goes_on(remote, 5)


def elsewhere(
    remote: RemoteOperator, folder: Path, *words: str
) -> "subprocess.CompletedProcess[str]":
    """Run occ on another operator's machine, with the same state and a data folder of its own."""
    data = folder / "opencode-cloud"
    data.mkdir()
    (data / "pulumi-home").symlink_to((remote.data / "pulumi-home").resolve())
    shared = {
        "XDG_DATA_HOME": str(folder),
        "PULUMI_BACKEND_URL": f"file://{remote.data / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(remote.data / "passphrase"),
    }
    return subprocess.run(
        [*_ELSEWHERE, *remote.occ.command(words)],
        env=remote.occ.environment | shared,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_of_two_operators_with_one_state_the_second_is_told_who_is_at_it(
    remote: RemoteOperator, tmp_path: Path
):
    with in_mid_up(remote, 6) as process:
        working = _descendants(process.pid)
        send(signal.SIGSTOP, working)
        try:
            second = elsewhere(remote, tmp_path, "start")
        finally:
            send(signal.SIGCONT, working)
        assert process.wait(SECONDS) == 0
    assert second.returncode == 1
    holder = rf"is being changed by \w+@{os.uname().nodename} \(process \d+\), since 20"
    assert re.search(holder, second.stderr), second.stderr
    assert "pulumi cancel" in second.stderr
    goes_on(remote, 6)


def test_an_operator_with_a_state_of_their_own_takes_over_and_loses_nothing(
    remote: RemoteOperator, root: Path, tmp_path: Path
):
    remote.occ("shell", "sh", "-c", f"echo 8 >> {KEPT_FILE}")
    second = replace(remote, folder=tmp_path)
    second.prepare(root)
    (second.data / "state").mkdir()
    (second.data / "passphrase").write_text("of the second operator's own")
    image = remote.deployment.stack.pulumi(
        "config", "get", "opencode:kept_image", "--stack", remote.stack
    )
    second.deployment.stack.create(
        remote.there.settings
        | {
            "image_source": "build",
            "kept_image": image.strip(),
            "hostnames": "mark-8.example.org",
        }
    )
    assert "another state" in goes_on(second, 8)
    # And back.
    remote.occ("config", "set", "hostnames", "mark-8.example.org")
    goes_on(remote, 8)


@contextmanager
def full_disk(there: Host) -> Iterator[None]:
    """Give its Docker a disk of its own, with all that it has, and fill that to the last byte."""
    stop, start = "systemctl stop docker.socket docker", "systemctl start docker"
    folder, fill = "/var/lib/docker", "/var/lib/docker/fill"
    there.as_root(
        f"{stop}; mkdir -p /mnt/disk; mount -t tmpfs -o size=2g disk /mnt/disk; "
        f"cp -a {folder}/. /mnt/disk/ && mount --bind /mnt/disk {folder} && {start}"
    )
    there.wait_reachable()
    there.as_root(f"cat /dev/zero > {fill} 2> /dev/null || true")
    try:
        yield
    finally:
        there.as_root(f"rm {fill}")


def test_a_full_disk_is_told_and_what_runs_is_left_alone_until_there_is_room(
    remote: RemoteOperator,
):
    # After another operator's turn, or alone.
    remote.occ("start")
    remote.occ("shell", "sh", "-c", f"echo 9 >> {KEPT_FILE}")
    remote.occ("config", "set", "hostnames", "mark-9.example.org")
    before = container(remote)
    with full_disk(remote.there):
        assert "Disk        full: 0 MiB left" in remote.occ.attempt("status").stdout.decode()
        report = json.loads(remote.occ.attempt("doctor", "--json").stdout)
        found = {each["check"]: each for each in report["findings"]}
        assert found["host.room"]["outcome"] == "problem"
        assert "only 0.0 GiB left at /var/lib/docker" in found["host.room"]["what"]
        full = f"The disk of ada@{remote.there.address} is full"
        assert full in remote.occ.refused("start")
        with pytest.raises(PulumiFailedError, match=full):
            remote.deployment.stack.up()
        assert "no space left on device" in remote.occ.refused("update", "--yes")
        assert container(remote) == before
    goes_on(remote, 9)
