"""./start on machines that have nothing: no Docker, no Python, no git, no registry.

What is not proved here: compiling the Pulumi engine, which comes from the cache, and
Ubuntu, whose packages cannot be had where this is developed.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from opencode_cloud.spec.units import backup_units
from tests.engine.newcomer import Newcomer
from tests.machine.debian import Machine, machine

LOGIN = """
import base64, sys, urllib.error, urllib.request
url, user, password = sys.argv[1:]
token = base64.b64encode(f"{user}:{password}".encode()).decode()
request = urllib.request.Request(url + "/global/health")
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    print("without:", error.code)
request.add_header("Authorization", "Basic " + token)
print("with:", urllib.request.urlopen(request).status)
"""


@dataclass(frozen=True)
class Case:
    """A kind of machine."""

    suite: str
    user: str
    systemd: bool

    def __str__(self) -> str:
        init = "systemd" if self.systemd else "no init system"
        return f"{self.suite}, {self.user}, {init}"


CASES = [
    Case("trixie", "root", systemd=True),
    Case("bookworm", "ada", systemd=True),
    Case("bookworm", "root", systemd=False),
]


@pytest.fixture(scope="module")
def clone(
    root: Path, tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Path:
    newcomer = Newcomer(tmp_path_factory.mktemp("clone"), "local", 4096, docker_client)
    newcomer.clone(root)
    return newcomer.checkout


@pytest.fixture(params=CASES, ids=str)
def fresh(
    request: pytest.FixtureRequest, docker_client: docker.DockerClient, clone: Path
) -> Iterator[tuple[Case, Machine]]:
    case: Case = request.param
    with machine(docker_client, case.suite, case.user, clone, systemd=case.systemd) as booted:
        yield case, booted


def test_a_fresh_machine_comes_to_a_login_and_stays_there(fresh: tuple[Case, Machine]):
    case, fresh_machine = fresh
    lacking = fresh_machine.run("command -v docker python3 git; ls /etc/ssl/certs")
    assert "/bin/" not in lacking.out, "the machine is not fresh"
    before = fresh_machine.state()

    plan = fresh_machine.run("./start --dry-run")
    assert plan.code == 0, plan.out
    assert "apt-get install -y --no-install-recommends python3 python3-venv" in plan.out
    assert fresh_machine.state() == before

    if case.user != "root":
        refused = fresh_machine.run("./start")
        assert refused.code == 1
        assert f"sudo usermod -aG docker {case.user}" in refused.out
        fresh_machine.as_root(f"usermod -aG docker {case.user}")

    first = fresh_machine.run("./start")
    assert first.code == 0, first.out
    assert first.field("URL") == "http://127.0.0.1:4096"
    assert fresh_machine.run("git status --porcelain").out == ""
    changes = fresh_machine.run("cat ~/.local/share/opencode-cloud/changes.txt").out
    assert "installed packages python3 python3-venv ca-certificates git" in changes
    assert "installed packages docker.io iptables" in changes
    lets_in(fresh_machine, first.field("URL"), first.field("User"), first.field("Password"))

    again = fresh_machine.run("./start")
    assert again.code == 0, again.out
    assert "Nothing had to be changed." in again.out

    if case.systemd:
        fresh_machine.restart()
        after = fresh_machine.run("./start")
        assert after.code == 0, after.out
        assert not re.search("^  Password", after.out, re.MULTILINE)
        lets_in(fresh_machine, first.field("URL"), first.field("User"), first.field("Password"))

    well = fresh_machine.run("./occ doctor")
    assert well.code == 0, well.out
    if case.systemd and case.user == "root":
        backed_up_by_the_clock(fresh_machine)
    else:
        refused = fresh_machine.run("./occ backup schedule --daily")
        assert refused.code == 1, refused.out
        assert "Traceback" not in refused.out
        assert "systemd" in refused.out
        assert (
            "None" in fresh_machine.run("ls ~/.config/systemd/user 2> /dev/null || echo None").out
        )
    gone_without_a_trace(fresh_machine)


def backed_up_by_the_clock(there: Machine) -> None:
    """See that systemd takes the timer, and that what it runs makes a backup."""
    unit = "opencode-cloud-backup-local"
    made = there.run("./occ backup schedule --daily --keep 2")
    assert made.code == 0, made.out
    assert there.as_root(f"systemctl is-active {unit}.timer") == "active\n"
    odd = backup_units("odd", ["/root/my occ", "--to", 'a "b" $c %d'], {"PATH": "/bin:/a b%"})
    there.as_root("printf '#!/bin/sh\\n' > '/root/my occ'; chmod +x '/root/my occ'")
    for suffix, text in ((".service", odd.service), (".timer", odd.timer)):
        there.as_root(f"printf %s {shlex.quote(text)} > /run/systemd/system/{odd.name}{suffix}")
    for name in (unit, odd.name):
        verify = f"systemd-analyze verify --man=no {name}.service {name}.timer 2>&1 || true"
        assert name not in there.as_root(verify)
    there.as_root(f"systemctl start {unit}.service || journalctl -u {unit}.service")
    listed = there.run("./occ backup list --json")
    assert len(json.loads(listed.out)) == 1, listed.out
    assert there.run("./occ backup schedule --off").code == 0
    assert unit not in there.as_root("systemctl list-unit-files --all")


def gone_without_a_trace(there: Machine) -> None:
    """See that nothing of a deployment is left after its uninstalling, when that is asked for."""
    kept = there.run("./occ uninstall --yes --data")
    assert kept.code == 1, kept.out
    gone = there.run("./occ uninstall --yes --data --confirm local --all")
    assert gone.code == 0, gone.out
    assert (
        there.as_root("docker ps -aq; docker volume ls -q; docker network ls -q -f type=custom")
        == ""
    )
    assert there.run("git status --porcelain").out == ""


def lets_in(there: Machine, url: str, user: str, password: str) -> None:
    """See that opencode is behind a login, and that this one opens it."""
    answer = there.run(shlex.join(["python3", "-c", LOGIN, url, user, password]))
    assert answer.out == "without: 401\nwith: 200\n"
