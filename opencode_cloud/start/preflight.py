"""What can be known to go wrong before anything is changed."""

from collections.abc import Sequence

from opencode_cloud.start import ports, stack_file
from opencode_cloud.start.errors import StartError, UsageError
from opencode_cloud.start.machine import Machine
from opencode_cloud.start.plan import Context, Step
from opencode_cloud.start.process import Runner


def check_system(machine: Machine) -> None:
    """Refuse a system that ./start cannot work on.

    Raises:
        StartError: with what to do instead.
    """
    if machine.system == "Windows":
        raise StartError(
            "On Windows ./start runs in WSL. Open PowerShell, run `wsl --install -d Debian`, "
            "clone this repository inside it, and run ./start there."
        )


def check_target(context: Context) -> None:
    """Refuse a stack whose deployment is not on this machine.

    Raises:
        UsageError: with the command for it.
    """
    options = context.options
    settings = stack_file.read(context.paths.stack_file(options.stack))
    target = settings.get("target", "local")
    if target == "local" or options.print_env or options.only_environment:
        return
    if target in stack_file.CLOUDS:
        raise UsageError(
            f"./start sets opencode up on this machine, and the stack {options.stack} rents one of "
            f'its own (target: {target}): eval "$(./start --print-env)" && pulumi up -s '
            f"{options.stack}. docs/deploy/{target}.md has the whole way."
        )
    raise UsageError(
        f"./start sets opencode up on this machine, and the stack {options.stack} is on "
        f"{settings.get('ssh_host') or 'another'}: ./occ --host {options.stack} setup"
    )


def check_obstacles(steps: Sequence[Step]) -> None:
    """Refuse to begin what cannot be finished here.

    Raises:
        StartError: with every obstacle, and what to do about each.
    """
    obstacles = [obstacle for step in steps if (obstacle := step.obstacle())]
    if obstacles:
        raise StartError("\n".join(obstacles))


def check_port(context: Context) -> None:
    """Refuse a port that somebody else has.

    Raises:
        UsageError: with who has it, and a free one.
    """
    settings = stack_file.read(context.paths.stack_file(context.options.stack))
    configured = int(settings.get("port") or stack_file.default_port(context.paths.root))
    port = context.options.port or configured
    address = settings.get("bind_address", "127.0.0.1")
    who = port_owner(context.runner, context.container, address, port)
    if not who:
        return
    free = ports.next_free(address, port)
    instead = f" The next free one: ./start --port {free}" if free else ""
    raise UsageError(f"Port {port} is in use by {who}.{instead}")


def port_owner(runner: Runner, container: str, address: str, port: int) -> str:
    """Say who has a port; empty when nobody has it, or the deployment's own container."""
    if ports.is_free(address, port):
        return ""
    publisher = runner.ask(
        *("docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"),
    ).out
    if publisher == container:
        return ""
    who = f"the container {publisher}" if publisher else ports.owner(port)
    return who or f"another program (`sudo ss -ltnp sport = :{port}` tells which)"
