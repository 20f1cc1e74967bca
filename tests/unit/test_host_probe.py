"""What the probe prints of this machine is read; what facts mean for a deployment is judged."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opencode_cloud.ops.doctor_checks.finding import Finding
from opencode_cloud.ops.hosts.judgement import findings, fit
from opencode_cloud.ops.hosts.look import Look, _skew
from opencode_cloud.spec.docker_install import packages, recipe
from opencode_cloud.spec.host_key import HostKey
from opencode_cloud.spec.host_probe import facts
from opencode_cloud.spec.host_probe.facts import Facts, Os, ProbeError
from tests.unit.probe_parts import TEXT, without

NO_DOCKER = without("docker-command", "dockerd", "docker-socket", "docker-info", "docker-active")
DENIED = without("docker-socket", "docker-info").replace(
    "occ: disk ", "occ: docker-failure /var/run/docker.sock permission denied while …\nocc: disk "
)
DENIED = DENIED.replace("ada docker", "ada")


def judged(text: str, skew: int = 0) -> dict[str, Finding]:
    look = Look(facts.read(text), datetime.now(UTC), skew, text)
    found = findings(look, "box", port=4096, memory=2 * 2**30, install="occ host add …")
    return {each.check: each for each in found}


def test_a_good_host_is_fit_in_every_point():
    found = judged(TEXT)
    assert fit(list(found.values()))
    assert {each.outcome for each in found.values()} == {"ok"}
    assert found["docker.socket"].what == "answers at /var/run/docker.sock (of the system)"


@pytest.mark.parametrize(
    ("text", "check", "outcome", "words"),
    [
        (TEXT.replace("system Linux", "system Darwin"), "machine.system", "problem", "Linux"),
        (TEXT.replace("x86_64", "riscv64"), "machine.system", "problem", "another machine"),
        (NO_DOCKER, "docker.socket", "problem", "occ host add …"),
        (without("root", text=NO_DOCKER), "docker.socket", "problem", "as root: apt-get"),
        (
            without("docker-socket", "docker-info"),
            "docker.socket",
            "problem",
            "enable --now docker",
        ),
        (DENIED, "docker.socket", "problem", "usermod --append --groups docker ada"),
        (without("docker-command"), "docker.command", "problem", "docker-cli"),
        (TEXT.replace("26.1.5+dfsg1", "19.3.0"), "docker.version", "problem", "install"),
        (TEXT.replace("enabled enabled", "enabled disabled"), "docker.boot", "warning", "enable"),
        (TEXT.replace("40000000", "100000"), "docker.room", "problem", "docker system df"),
        (TEXT.replace("inodes-free 1000000", "inodes-free "), "docker.room", "ok", ""),
        (TEXT.replace("8000000", "1500000"), "machine.memory", "warning", "occ --host box config"),
        (TEXT.replace("port-container ", "port-container web"), "machine.port", "warning", "port"),
        (
            TEXT.replace("port-container ", "port-taken yes\nocc: port-container opencode-box"),
            "machine.port",
            "ok",
            "",
        ),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(text: str, check: str, outcome: str, words: str):
    found = judged(text)[check]
    assert (found.outcome, words in found.mend) == (outcome, True), found


def test_a_rootless_engine_comes_back_only_with_its_user():
    text = TEXT.replace("name=seccomp", "name=rootless").replace("/var/run/", "/run/user/1000/")
    mends = [each.mend for each in findings_of(text) if each.check == "docker.boot"]
    assert [mend.partition(": ")[2] for mend in mends] == [
        "systemctl --user enable docker",
        "sudo loginctl enable-linger ada",
    ]


def findings_of(text: str) -> list[Finding]:
    look = Look(facts.read(text), datetime.now(UTC), 0, text)
    return findings(look, "box", port=4096, memory=2**30, install="")


def test_a_clock_that_was_read_meanwhile_is_right_and_others_are_told_apart():
    assert _skew(101, 100.5, 103.2) == 0
    assert _skew(400, 100.5, 103.2) == 297
    assert _skew(40, 100.5, 103.2) == -60
    assert "300 s behind" in judged(TEXT, -300)["machine.clock"].what


def test_half_a_probe_is_none_and_a_greeting_is_no_fact():
    assert facts.read(TEXT).clock == 1795541057
    with pytest.raises(ProbeError, match="memory"):
        facts.read(TEXT[: TEXT.index("occ: user")])


def test_the_probe_tells_of_this_machine_without_changing_it(tmp_path: Path):
    done = subprocess.run(
        ["sh", "-s", "--", "box", "1", str(tmp_path / "none.sock")],
        input=facts.SCRIPT.read_text(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    found = facts.read(done.stdout)
    assert found.system == "Linux"
    assert found.docker is None, "there is no engine at that socket"
    assert found.disk_free
    assert found.memory
    assert list(tmp_path.iterdir()) == []


def test_a_look_is_kept_and_read_again(tmp_path: Path):
    look = Look(facts.read(TEXT), datetime.now(UTC), -7, TEXT)
    look.keep(tmp_path / "hosts" / "box.txt")
    kept = Look.kept(tmp_path / "hosts" / "box.txt")
    assert kept
    assert (kept.facts, kept.skew) == (look.facts, -7)
    assert Look.kept(tmp_path / "hosts" / "other.txt") is None


def system(name: str, *like: str) -> Os:
    return Os(name=name, id=name, like=list(like), version="")


@pytest.mark.parametrize(
    ("found", "command"),
    [
        (system("debian"), "docker.io iptables"),
        (system("ubuntu", "debian"), "docker.io iptables"),
        (system("linuxmint", "ubuntu", "debian"), "docker.io iptables"),
        (system("fedora"), "dnf install -y moby-engine docker-cli"),
        (system("amzn", "fedora"), "dnf install -y docker"),
        (system("opensuse-leap", "suse", "opensuse"), "zypper --non-interactive install docker"),
        (system("sles"), "zypper --non-interactive install docker"),
    ],
)
def test_each_family_installs_docker_from_its_own_packages(found: Os, command: str):
    made = packages(found)
    assert made.packaged
    assert any(command in each for each in made.commands), made


@pytest.mark.parametrize("name", ["rhel", "centos"])
def test_a_family_without_such_packages_is_left_to_a_person(name: str):
    made = packages(system(name, "fedora"))
    assert not made.packaged
    assert any(f"/linux/{name}/docker-ce.repo" in each for each in made.commands)


def test_an_unknown_system_has_no_recipe():
    assert packages(system("plan9")).commands == ()


def commands(text: str) -> list[str]:
    return [each.split()[0] for each in recipe(facts.read(text)).commands]


def test_only_what_is_missing_is_done():
    assert commands(TEXT) == []
    assert commands(DENIED) == ["usermod"]
    assert commands(NO_DOCKER)[-1] == "systemctl"
    root = NO_DOCKER.replace("root sudo", "root itself").replace("ada docker", "root")
    assert "usermod" not in commands(root), "root needs no group"


def test_booting_is_told_from_broken():
    found: Facts = facts.read(TEXT)
    assert not found.is_booting
    starting = replace(found, services=replace(found.services, state="starting"))
    assert starting.is_booting


def test_a_fingerprint_is_the_one_that_ssh_keygen_says(tmp_path: Path):
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(file)], check=True)
    said = subprocess.run(
        ["ssh-keygen", "-lf", str(file)], check=True, capture_output=True, text=True
    ).stdout
    key = HostKey.of(" ".join(file.with_suffix(".pub").read_text().split()[:2]))
    assert key.fingerprint == said.split()[1]
    assert key.file == "/etc/ssh/ssh_host_ecdsa_key.pub"
