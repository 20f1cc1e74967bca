"""Bringing Docker to a host."""

import shlex
from collections.abc import Callable

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.hosts.look import Look
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.docker_install import DOCUMENTATION, Recipe, recipe

_SECONDS = 1800
_LINES = 15


def commands(look: Look) -> tuple[str, ...]:
    """Give what would be run on a host, for root's `sh`; nothing where nothing is missing.

    Raises:
        OperationError: it is not for us to do; says what to run there.
    """
    facts = look.facts
    found = recipe(facts)
    if facts.docker and not found.commands:
        return ()
    if not found.commands:
        raise OperationError(
            f"occ does not know how to install Docker on {facts.os.name}. Install it as "
            f"{DOCUMENTATION} says, and try again."
        )
    if not found.packaged:
        raise OperationError(
            f"{facts.os.name} has no packages of Docker, and whose else to trust is for you to "
            f"decide. Docker's own, as root on the host:\n{_listed(found)}\nThen try again."
        )
    if not facts.user.root:
        raise OperationError(
            f"{facts.user.name} is not root there, and has no sudo without a password. Have "
            f"somebody who is root run on the host:\n{_listed(found)}\nThen try again."
        )
    return found.commands


def shown(look: Look, command: str) -> str:
    """Write a command as its user would type it there."""
    if look.facts.user.root == "itself":
        return command
    plain = command.split()
    return f"sudo {command}" if "||" not in plain else f"sudo sh -c {shlex.quote(command)}"


def carry_out(ssh: Ssh, look: Look, wanted: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Run the commands, one after the other, and leave the connection for one with new rights.

    Args:
        ssh: the way to the host.
        look: at it.
        wanted: from `commands`.
        say: gets each command before it is run.

    Raises:
        OperationError: one failed; with what it said.
    """
    sudo = "" if look.facts.user.root == "itself" else "sudo -n "
    for command in wanted:
        say(shown(look, command))
        done = ssh.run(f"exec {sudo}sh -c {shlex.quote(command)} 2>&1", seconds=_SECONDS)
        if not done.ok:
            said = "\n".join(f"    {line}" for line in done.out.strip().splitlines()[-_LINES:])
            raise OperationError(
                f"This failed on {ssh.name}, with exit code {done.code}: {command}\n{said}\n"
                "What came before it is done. When it is put right, the same command goes on."
            )
    # The open one goes on without the group docker.
    ssh.disconnect()


def _listed(found: Recipe) -> str:
    return "\n".join(f"    {command}" for command in found.commands)
