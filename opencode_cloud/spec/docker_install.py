"""Which commands bring Docker to a machine, by what its os-release says.

Packages of the distribution alone: its signatures and its updates are the machine's own already.
"""

from collections.abc import Callable
from dataclasses import dataclass

from opencode_cloud.spec.host_probe.facts import Facts, Os
from opencode_cloud.start.packages import install_command, update_command

DOCUMENTATION = "https://docs.docker.com/engine/install/"
_DOCKERS_OWN = "https://download.docker.com/linux"


@dataclass(frozen=True)
class Recipe:
    """How Docker comes to a machine."""

    commands: tuple[str, ...]
    """For root's `sh`, in their order. None: it is not known."""
    packaged: bool = True
    """Whether they are the distribution's own packages; others are for a person to decide on."""


def recipe(facts: Facts) -> Recipe:
    """Give what is missing for the machine's user to use Docker; nothing where nothing is."""
    commands: tuple[str, ...] = ()
    packaged = True
    if not facts.docker_installed or not facts.docker_command:
        found = packages(facts.os)
        if not found.commands:
            return found
        commands, packaged = found.commands, found.packaged
    if facts.docker:
        # Such as a rootless one, which has no group.
        return Recipe(commands, packaged)
    if facts.services.docker_active != "active" or commands:
        commands += ("systemctl enable --now docker",)
    user = facts.user
    if user.root != "itself" and "docker" not in user.groups_of_next_login:
        commands += (f"usermod --append --groups docker {user.name}",)
    return Recipe(commands, packaged)


def packages(system: Os) -> Recipe:
    """Give the commands that install Docker on a system."""
    for name in (system.id, *system.like):
        if make := _TABLE.get(name):
            return make(system)
    return Recipe(())


def _debian(_: Os) -> Recipe:
    command = " ".join(install_command("docker.io", "iptables"))
    # Some releases keep the command in a package of its own; others have no such package.
    also = f"command -v docker || {' '.join(install_command('docker-cli'))}"
    return Recipe((" ".join(update_command()), command, also))


def _fedora(_: Os) -> Recipe:
    return Recipe(("dnf install -y moby-engine docker-cli",))


def _amazon(_: Os) -> Recipe:
    return Recipe(("dnf install -y docker",))


def _suse(_: Os) -> Recipe:
    return Recipe(("zypper --non-interactive install docker",))


def _red_hat(system: Os) -> Recipe:
    # It has podman in the place of Docker.
    flavour = "rhel" if system.id == "rhel" else "centos"
    return Recipe(
        (
            "dnf install -y dnf-plugins-core",
            f"dnf config-manager --add-repo {_DOCKERS_OWN}/{flavour}/docker-ce.repo",
            "dnf install -y docker-ce docker-ce-cli containerd.io",
        ),
        packaged=False,
    )


_TABLE: dict[str, Callable[[Os], Recipe]] = {
    "debian": _debian,
    "ubuntu": _debian,
    "amzn": _amazon,
    # Before Fedora, which its children name too.
    "rhel": _red_hat,
    "centos": _red_hat,
    "fedora": _fedora,
    "suse": _suse,
    "opensuse": _suse,
    "sles": _suse,
}
"""By the system's ID, or that of a system that it is made from."""
