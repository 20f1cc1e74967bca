"""The one description of the container, wherever it runs.

The Docker resources of a stack are a rendering of ``ContainerSpec``; so is
anything else that ever starts opencode, so that a container is the same
container everywhere.
"""

from dataclasses import dataclass
from enum import StrEnum

from opencode_cloud.settings import Settings

GATEWAY_PORT = 8080
"""Port in the container at which the gateway listens; nothing else is published."""

CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
"""All that init needs to own the volumes' roots and to become each service's user."""


class Volume(StrEnum):
    """Data that outlives the container, by what it holds."""

    DATA = "data"
    STATE = "state"
    CACHE = "cache"
    CONFIG = "config"
    WORKSPACE = "workspace"
    USERS = "users"


MOUNT_PATHS = {
    Volume.DATA: "/home/opencode/.local/share/opencode",
    Volume.STATE: "/home/opencode/.local/state",
    Volume.CACHE: "/home/opencode/.cache",
    Volume.CONFIG: "/home/opencode/.config/opencode",
    Volume.WORKSPACE: "/workspace",
    Volume.USERS: "/var/lib/opencode-cloud/users",
}
"""Where each volume is mounted in the container."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the engine finds out whether opencode answers. Times in seconds."""

    command: tuple[str, ...] = ("/usr/lib/opencode-cloud/healthcheck",)
    # Short, because `up` waits for the first good answer, and old engines
    # (before 25.0) have no shorter interval for the start.
    interval: int = 3
    timeout: int = 5
    retries: int = 3
    start_period: int = 30


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One opencode container on one Docker host."""

    name: str
    """Of the container and of its network: derived from the stack."""
    hostname: str
    environment: dict[str, str]
    """Nothing secret: ``docker inspect`` shows it."""
    bind_address: str
    host_port: int
    container_port: int = GATEWAY_PORT
    volumes: dict[Volume, str]
    """Name of the Docker volume of each kind of data."""
    memory_mb: int
    cpus: int
    """0: all of the host's."""
    capabilities: tuple[str, ...] = CAPABILITIES
    """Those added after all were dropped."""
    security_options: tuple[str, ...] = ("no-new-privileges",)
    health: Health = Health()
    restart: str = "unless-stopped"
    stop_seconds: int = 10
    """How long services may take to close before the engine kills them."""
    log_options: dict[str, str]
    labels: dict[str, str]


def stack_label(stack: str) -> dict[str, str]:
    """Label by which a stack's own Docker objects are found again."""
    return {"org.opencode-cloud.stack": stack}


def container_spec(settings: Settings, stack: str) -> ContainerSpec:
    """Describe the container of ``stack``; the same values give the same container."""
    name = f"opencode-{stack}"
    return ContainerSpec(
        name=name,
        hostname=name,
        environment={"OPENCODE_CLOUD_DEPLOYMENT": stack},
        bind_address=settings.bind_address,
        host_port=settings.port,
        volumes={volume: f"{name}-{volume}" for volume in Volume},
        memory_mb=settings.memory_mb,
        cpus=settings.cpus,
        # The engine's own default never rotates, and would fill the disk.
        log_options={"max-size": "10m", "max-file": "3"},
        labels=stack_label(stack),
    )
