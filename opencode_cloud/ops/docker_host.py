"""Where a stack's deployment runs: this machine, or a host over SSH, and its Docker engine."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.ops.docker_engine import Engine, Trace
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.start import stack_file
from opencode_cloud.start.paths import Paths

if TYPE_CHECKING:
    # Over SSH alone: `occ status` of this machine's own shall not wait for it.
    from opencode_cloud.ops.rented import Rented
    from opencode_cloud.ops.shells import Shell
    from opencode_cloud.ops.ssh import Ssh

DEFAULT_SOCKET = "/var/run/docker.sock"

_STACK = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SCHEME = "unix://"


@dataclass(frozen=True)
class DockerHost:
    """One machine with a Docker engine."""

    stack: str
    socket: str
    """Path of the engine's socket, on that machine."""
    ssh: "Ssh | None" = None
    """The way there; ``None``: it is this machine."""

    @property
    def is_remote(self) -> bool:
        """Whether it is another machine."""
        return self.ssh is not None

    @property
    def name(self) -> str:
        """For people: `this machine`, or `ada@box`."""
        return self.ssh.name if self.ssh else "this machine"

    @property
    def shell(self) -> "Shell":
        """Its shell."""
        from opencode_cloud.ops.shells import LocalShell

        return self.ssh or LocalShell()

    def local_socket(self) -> str:
        """Give a socket on this machine that leads to the engine; over SSH, it is opened first.

        Raises:
            SshError: the host cannot be reached.
        """
        return str(self.ssh.docker_socket(self.socket)) if self.ssh else self.socket

    def docker(self, *words: str) -> tuple[str, ...]:
        """Give the command line of docker on that machine.

        Over SSH it runs there: Pulumi's plugin needs the command there in any case, and none here.
        """
        if not self.ssh:
            return ("docker", *words)
        named = () if self.socket == DEFAULT_SOCKET else ("--host", f"{_SCHEME}{self.socket}")
        return self.ssh.words("docker", *named, *words)

    def engine(self, trace: Trace | None = None) -> Engine:
        """Give its engine.

        Raises:
            SshError: the host cannot be reached.
        """
        way = self.local_socket if self.ssh else None
        where = f"{self.socket} of {self.name}" if self.ssh else self.socket
        silence = self._why_silent if self.ssh else None
        engine = Engine(self.local_socket(), where=where, way=way, silence=silence)
        return engine.traced(trace) if trace else engine

    def _why_silent(self) -> str:
        """Look at the engine's socket, on its machine."""
        place = shlex.quote(self.socket)
        # Its file may outlive the one who listened: the kernel knows (proc_pid_net(5)).
        done = self.shell.run(
            f"id -un; place={place}; real=$(readlink -f -- {place}); "
            'grep -F -e " $place" -e " $real" /proc/net/unix | grep -q " 00010000 " || '
            '{ echo missing; exit; }; [ -w "$place" ] || echo closed'
        )
        user, _, found = done.out.strip().partition("\n")
        match found:
            case "closed":
                return (
                    f"{user} may not use it there. Who may is who is in the group docker, which is "
                    f"as powerful as root. On {self.name}: sudo usermod -aG docker {user}"
                )
            case "missing":
                return (
                    f"It does not run, or is not installed. On {self.name}: sudo systemctl enable "
                    "--now docker"
                )
            case _:
                return f"Its log may say why. On {self.name}: sudo journalctl -u docker -n 50"


def require_stack_name(stack: str) -> None:
    """Refuse what cannot be a stack's name.

    Raises:
        OperationError: says what can.
    """
    if not _STACK.fullmatch(stack):
        raise OperationError(
            f"{stack!r} cannot be a stack's name: --host (or OPENCODE_STACK) takes up to 40 of "
            "a-z, 0-9, _ and -."
        )


def docker_host_of(stack: str, root: Path) -> DockerHost:
    """Give the host that the stack's settings name, in the program's folder `root`.

    Raises:
        OperationError: the name cannot be a stack's, or what its settings say cannot be used here.
    """
    require_stack_name(stack)
    settings = stack_file.read(root / "stacks" / f"Pulumi.{stack}.yaml")
    host = settings.get("docker_host") or f"{_SCHEME}{DEFAULT_SOCKET}"
    if not host.startswith(_SCHEME):
        raise OperationError(
            f"opencode:docker_host of stack {stack!r} is {host}, which is no Unix socket: from "
            "here, occ reaches Docker through unix:///path/to/docker.sock alone."
        )
    socket = host.removeprefix(_SCHEME)
    target = settings.get("target")
    if target in stack_file.CLOUDS:
        return DockerHost(stack, socket, _rented(settings, stack, root))
    if target != "ssh":
        return DockerHost(stack, socket)
    return DockerHost(stack, socket, _ssh(settings, stack, root))


def rents(stack: str, root: Path) -> bool:
    """Say whether a stack's machine is one that the stack itself makes.

    Raises:
        OperationError: the name cannot be a stack's.
    """
    require_stack_name(stack)
    return (
        stack_file.read(root / "stacks" / f"Pulumi.{stack}.yaml").get("target") in stack_file.CLOUDS
    )


def _rented(settings: Mapping[str, str], stack: str, root: Path) -> "Ssh":
    from opencode_cloud.ops import rented
    from opencode_cloud.ops.ssh import Ssh

    paths = Paths.of(root, os.environ)
    machine = rented.read(paths.data, stack) or _as_pulumi_knows_it(stack, paths)
    if machine is None:
        raise OperationError(
            f"The stack {stack!r} has no machine yet. This makes it: pulumi up -s {stack}"
        )
    return Ssh.of(machine.ssh(stack, settings), paths.data)


def _as_pulumi_knows_it(stack: str, paths: Paths) -> "Rented | None":
    """Take the machine that others have made from the stack's outputs, and remember it."""
    from opencode_cloud.ops import rented
    from opencode_cloud.ops.program import Program

    try:
        found = rented.from_outputs(Program(paths, stack).outputs())
    except OperationError as error:
        # Pulumi's own words: `up` has not been run with this backend.
        if "no stack named" not in str(error):
            raise
        return None
    if found:
        rented.write(paths.data, stack, found)
    return found


def _ssh(settings: Mapping[str, str], stack: str, root: Path) -> "Ssh":
    from opencode_cloud.ops.ssh import Ssh
    from opencode_cloud.spec.ssh import SshAddress

    address = SshAddress.of(settings, stack)
    if not address.host:
        raise OperationError(
            f"The stack {stack!r} is on a host over SSH, and its settings name none: occ --host "
            f"{stack} config set ssh_host [USER@]HOST"
        )
    return Ssh.of(address, Paths.of(root, os.environ).data)
