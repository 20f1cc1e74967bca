"""A port of this machine that is in use: by whom, and which one is free instead."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.start import ports

if TYPE_CHECKING:
    from opencode_cloud.settings import Settings


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

    def __str__(self) -> str:
        who = self.owner or "another program on this machine"
        return f"Port {self.port} is in use by {who}."


def require_free(settings: "Settings", stack: str, engine: Engine) -> None:
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
        found = problem(address, port, engine, f"opencode-{stack}") if port else None
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
    address: str, port: int, engine: Engine | None = None, own: str = ""
) -> PortProblem | None:
    """Say who has a port; None when it is free, or the container named `own` has it.

    Args:
        address: of this machine, to listen on.
        port: to listen on.
        engine: to ask whether it is a container's; None: it is not asked.
        own: the container that may have it.
    """
    if ports.is_free(address, port):
        return None
    container = _publisher(engine, port)
    if own and container == own:
        return None
    return _described(address, port, container)


def described(address: str, port: int, engine: Engine | None = None) -> PortProblem:
    """Say who has a port of which it is known that it is in use."""
    return _described(address, port, _publisher(engine, port))


def _described(address: str, port: int, container: str) -> PortProblem:
    program = "" if container else ports.owner(port)
    number = program.rpartition("(process ")[2].rstrip(")")
    if container:
        to_free = f"docker stop {container}"
    elif number:
        to_free = f"kill {number}"
    else:
        to_free = f"sudo ss -ltnp 'sport = :{port}' shows which"
    owner = f"the container {container}" if container else program
    return PortProblem(address, port, owner, to_free, ports.next_free(address, port))


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
