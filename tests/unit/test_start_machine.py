from pathlib import Path

import pytest

from opencode_cloud.start import machine, packages, preflight
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.machine import Machine, os_release
from opencode_cloud.start.process import CommandError
from tests.unit.start_parts import Notes, RecordingRunner, ok

DEBIAN_12 = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
DEBIAN_13 = 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'
UBUNTU_24 = 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"\n'
UBUNTU_26 = 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="26.04"\nPRETTY_NAME="Ubuntu 26.04 LTS"\n'
FEDORA = 'ID=fedora\nVERSION_ID=43\nPRETTY_NAME="Fedora Linux 43"\n'
ARCH = 'ID=arch\nPRETTY_NAME="Arch Linux"\n'


def a_machine(
    release: str, *, root: bool = True, sudo: bool = False, system: str = "Linux"
) -> Machine:
    names = machine.family(os_release(release))
    return Machine(system=system, family=names, root=root, sudo=sudo, apt="debian" in names)


@pytest.mark.parametrize("release", [DEBIAN_12, DEBIAN_13, UBUNTU_24, UBUNTU_26])
def test_debian_and_ubuntu_get_their_own_packages(release: str):
    assert packages.install_plan(a_machine(release), "docker.io", "iptables") == [
        "apt-get update",
        "apt-get install -y --no-install-recommends docker.io iptables",
    ]
    assert packages.install_plan(a_machine(release, root=False, sudo=True), "docker.io") == [
        "sudo apt-get update",
        "sudo apt-get install -y --no-install-recommends docker.io",
    ]


@pytest.mark.parametrize(
    ("there", "may"),
    [
        (a_machine(DEBIAN_13), True),
        (a_machine(UBUNTU_24, root=False, sudo=True), True),
        (a_machine(DEBIAN_13, root=False), False),
        (a_machine(FEDORA), False),
        (a_machine("", system="Darwin"), False),
    ],
)
def test_packages_are_installed_by_root_or_sudo_on_debian_and_ubuntu(there: Machine, may: bool):
    assert there.may_install is may


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (a_machine(DEBIAN_13, root=False), "apt-get install -y --no-install-recommends docker.io"),
        (a_machine(FEDORA), "sudo dnf install -y moby-engine docker-cli"),
        (a_machine(ARCH), "https://docs.docker.com/engine/install/"),
        (a_machine("", system="Darwin"), "Install Docker Desktop"),
    ],
)
def test_whoever_may_not_install_is_told_what_to_type(there: Machine, words: str):
    told = packages.docker_by_hand(there)
    assert words in told
    assert told.endswith("run ./start again.")


def test_windows_is_told_about_wsl():
    with pytest.raises(StartError, match="wsl --install -d Debian"):
        preflight.check_system(a_machine("", system="Windows"))


def test_the_machine_under_this_test_is_recognised():
    this = Machine.this()
    assert this.system == "Linux"
    assert this.family[0] in this.name.lower()


def test_a_cut_off_installation_is_mended_once():
    runner = RecordingRunner()
    tries = []

    def cut_off_at_first(command: tuple[str, ...]) -> None:
        if "install" in command:
            tries.append(command)
            if len(tries) == 1:
                raise CommandError("failed", ["E: you must manually run 'dpkg --configure -a'"])

    runner.on_run = cut_off_at_first
    packages.install(runner, Notes().progress, "docker.io")
    assert ("dpkg", "--configure", "-a") in runner.ran
    assert len(tries) == 2


def test_an_installation_that_fails_otherwise_is_not_tried_again():
    runner = RecordingRunner()

    def fail(command: tuple[str, ...]) -> None:
        if "install" in command:
            raise CommandError("failed", ["E: Unable to locate package docker.io"])

    runner.on_run = fail
    with pytest.raises(CommandError):
        packages.install(runner, Notes().progress, "docker.io")
    assert [command for command in runner.ran if "install" in command] == [runner.ran[-1]]


def test_only_whole_folders_are_dropped_from_path():
    ours = (Path("/data/opencode-cloud"),)
    path = "/data/opencode-cloud/bin:/usr/bin:/data/opencode-cloud-2/bin"
    assert machine.without(path, ours) == "/usr/bin:/data/opencode-cloud-2/bin"


def test_a_package_exists_when_the_lists_have_it():
    runner = RecordingRunner(answers={("apt-cache", "show"): ok("Package: docker-cli")})
    assert packages.exists(runner, "docker-cli")
    assert not packages.exists(RecordingRunner(), "docker-cli")
