"""A port that is in use on a deployment's machine: by whom, and which one is free instead."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.start import ports
from opencode_cloud.start.ports import DOCKER_PROXY

if TYPE_CHECKING:
    from opencode_cloud.settings import Settings


class Listeners(Protocol):
    """Who listens on a machine. Of this one, that is `opencode_cloud.start.ports`."""

    def is_free(self, address: str, port: int) -> bool:
        """Whether somebody could listen there now."""
        ...

    def next_free(self, address: str, port: int) -> int | None:
        """Give the first free port after `port`."""
        ...

    def owner(self, port: int) -> str:
        """Name the program that listens on a port; empty if unknown."""
        ...


@dataclass(frozen=True)
class PortProblem:
    """A port that somebody else has."""

    address: str
    port: int
    owner: str
    """`the container NAME`, or `NAME (process NUMBER)`; empty: nobody that this user may see."""
    to_free: str
    """The command that frees it, or that shows who has it."""
    next_free: int | None
    where: str = ""
    """The other machine whose port it is; empty: it is this one's."""

    def __str__(self) -> str:
        who = self.owner or "another program on this machine"
        of = f" of {self.where}" if self.where else ""
        return f"Port {self.port}{of} is in use by {who}."


def require_free(
    settings: "Settings", stack: str, engine: Engine, host: DockerHost | None = None
) -> None:
    """See that a deployment can have the ports that its settings name.

    The container that has them goes before the new one comes: found out later, there is none.

    Raises:
        OperationError: somebody else has one; with who it is, and the command that takes another.
    """
    wanted = {
        "port": (settings.bind_address, settings.port),
        "http_port": (settings.bind_address, settings.redirect_port),
        "metrics_port": ("127.0.0.1", settings.metrics_port),
    }
    for setting, (address, port) in wanted.items():
        own = f"opencode-{stack}"
        found = problem(address, port, engine, own, host) if port else None
        if found:
            raise OperationError(explained(found, stack, setting))


def explained(found: PortProblem, stack: str, setting: str) -> str:
    """Say who has the port that a setting names, and the two ways out."""
    number = str(found.next_free or "NUMBER")
    another = occ(stack, "config", "set", setting, number, "--apply")
    return (
        f"{str(found).removesuffix('.')}, so that {stack!r} cannot start. Give it another one "
        f"({another}), or free this one: {found.to_free}"
    )


def problem(
    address: str,
    port: int,
    engine: Engine | None = None,
    own: str = "",
    host: DockerHost | None = None,
) -> PortProblem | None:
    """Say who has a port; None when it is free, or the container named `own` has it.

    Args:
        address: of the machine, to listen on.
        port: to listen on.
        engine: to ask whether it is a container's; None: it is not asked.
        own: the container that may have it.
        host: the machine; None: this one.

    Raises:
        OperationError: the machine cannot be reached.
    """
    if listeners(host).is_free(address, port):
        return None
    container = _publisher(engine, port)
    if own and container == own:
        return None
    return _described(address, port, container, host, engine)


def described(
    address: str, port: int, engine: Engine | None = None, host: DockerHost | None = None
) -> PortProblem:
    """Say who has a port of which it is known that it is in use.

    Raises:
        OperationError: the machine cannot be reached.
    """
    return _described(address, port, _publisher(engine, port), host, engine)


def listeners(host: DockerHost | None) -> Listeners:
    """Give what knows who listens on a machine; None: on this one."""
    if not (host and host.is_remote):
        return ports
    from opencode_cloud.ops.host_ports import HostPorts

    return HostPorts(host.shell)


def _described(
    address: str, port: int, container: str, host: DockerHost | None, engine: Engine | None
) -> PortProblem:
    there = listeners(host)
    program = "" if container else there.owner(port)
    owner, to_free = _freed(port, container, program, engine)
    free = there.next_free(address, port)
    if not (host and host.is_remote):
        return PortProblem(address, port, owner, to_free, free)
    return PortProblem(address, port, owner, f"on {host.name}, {to_free}", free, host.name)


def _freed(port: int, container: str, program: str, engine: Engine | None) -> tuple[str, str]:
    """Name who has a port, and what frees it."""
    if container:
        return f"the container {container}", f"docker stop {container}"
    name, _, number = program.rstrip(")").partition(" (process ")
    if name == DOCKER_PROXY and engine:
        # After a power failure between Docker's taking the port and the container's running, it
        # has the port again, and keeps it even without the container (seen with 26.1).
        return "Docker, for a container that it does not run", "sudo systemctl restart docker"
    if name == DOCKER_PROXY:
        return program, f"docker ps --filter publish={port} shows the container"
    if number:
        return program, f"kill {number}"
    return program, f"sudo ss -ltnp 'sport = :{port}' shows which"


def _publisher(engine: Engine | None, port: int) -> str:
    """Name the container that has a port of the host; empty when none is known to."""
    try:
        running: list[dict[str, Any]] = engine.get("/containers/json") if engine else []
    except EngineError:
        # What the machine itself knows is still worth saying.
        return ""
    names = (
        container["Names"][0].lstrip("/")
        for container in running
        if any(each.get("PublicPort") == port for each in container["Ports"])
    )
    return next(names, "")
