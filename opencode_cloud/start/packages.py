"""Packages of the distribution: installed, or asked for in exact words."""

from collections.abc import Callable

from opencode_cloud.start.machine import Machine
from opencode_cloud.start.process import CommandError, Runner

APT = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0")
"""The lock is often held on a machine that has just booted."""

INSTALL_SECONDS = 1800


def update_command() -> tuple[str, ...]:
    """Refresh the lists of packages."""
    return (*APT, "update")


def install_command(*packages: str) -> tuple[str, ...]:
    """Install packages and what they need, but not what they recommend."""
    # Nobody is there to answer a package's questions.
    noninteractive = ("env", "DEBIAN_FRONTEND=noninteractive")
    return (*noninteractive, *APT, "install", "-y", "--no-install-recommends", *packages)


def install_plan(machine: Machine, *packages: str) -> list[str]:
    """Give the commands that ``install`` runs, as this user would type them."""
    commands = (
        ("apt-get", "update"),
        ("apt-get", "install", "-y", "--no-install-recommends", *packages),
    )
    return [machine.shown(command) for command in commands]


def install(runner: Runner, report: Callable[[str], None], *packages: str) -> None:
    """Install Debian's or Ubuntu's ``packages``.

    Raises:
        CommandError: apt-get failed.
    """
    report("reading package lists")
    runner.run_as_root(*update_command(), limit=INSTALL_SECONDS)
    report(f"installing {' '.join(packages)}")
    try:
        _install(runner, report, packages)
    except CommandError as error:
        if not any("dpkg --configure -a" in line for line in error.lines):
            raise
        # An earlier installation, ours or not, was cut off: a power cut, a kill.
        runner.run_as_root("dpkg", "--configure", "-a", limit=INSTALL_SECONDS, finish=True)
        _install(runner, report, packages)


def _install(runner: Runner, report: Callable[[str], None], packages: tuple[str, ...]) -> None:
    def on_line(line: str) -> None:
        if line.startswith(("Unpacking ", "Setting up ")):
            report(line.partition(" (")[0].lower())

    runner.run_as_root(
        *install_command(*packages), limit=INSTALL_SECONDS, on_line=on_line, finish=True
    )


def exists(runner: Runner, package: str) -> bool:
    """Whether the lists of packages have a package of this name."""
    return runner.ask("apt-cache", "show", "--no-all-versions", package).ok


def install_by_hand(machine: Machine, *packages: str) -> str:
    """Say what to type where ``./start`` may not install Debian's ``packages``."""
    if machine.packaged:
        command = " ".join(("apt-get", "install", "-y", "--no-install-recommends", *packages))
        return f"Ask an administrator to run:\n    {command}\nthen run ./start again."
    return (
        "./start installs packages on Debian and Ubuntu only, and this is "
        f"{machine.name or machine.system}. Install what is {' and '.join(packages)} there, "
        "then run ./start again."
    )


def docker_by_hand(machine: Machine) -> str:
    """Say how to get a Docker engine where ``./start`` may not install one."""
    if machine.system == "Darwin":
        return (
            "Install Docker Desktop (https://docs.docker.com/desktop/setup/install/mac-install/) "
            "or colima (brew install docker colima), start it, then run ./start again."
        )
    if "fedora" in machine.family:
        return (
            "Run:\n"
            "    sudo dnf install -y moby-engine docker-cli\n"
            "    sudo systemctl enable --now docker\n"
            "    sudo usermod -aG docker $USER\n"
            "then log in again, and run ./start again."
        )
    if machine.packaged:
        return install_by_hand(machine, "docker.io", "iptables")
    return (
        "Install Docker Engine as https://docs.docker.com/engine/install/ says, start it, "
        "then run ./start again."
    )
