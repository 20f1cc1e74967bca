"""The one description of the container, wherever it runs.

The Docker resources of a stack are a rendering of ``ContainerSpec``; so is
anything else that ever starts opencode, so that a container is the same
container everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from opencode_cloud.environment import NO_ENVIRONMENT, Environment
from opencode_cloud.setting_types import NO_RESTART
from opencode_cloud.settings import Settings
from opencode_cloud.spec.mounts import BindMount
from opencode_cloud.spec.volumes import Volume

HTTP_PORT = 8080
"""Port in the container at which the gateway answers, or under TLS sends people on to HTTPS."""
HTTPS_PORT = 8443
METRICS_PORT = 8081

SECRETS_FOLDER = "/etc/opencode-cloud/secrets"
"""Where root in the container finds each secret, in a file of its name."""
VARIABLE_PREFIX = "OPENCODE_CLOUD_ENV_"
"""Before the name of a variable that is for opencode alone, and not for what supervises it."""

PUBLIC_NAME_LABEL = "org.opencode-cloud.public-name"
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
"""All that init needs to own the volumes' roots and to become each service's user."""


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


SYSCTLS = {"net.unix.max_dgram_qlen": "512"}
"""Of the container's own network. nginx counts requests by datagrams; ten, the kernel's default,
are too few for the moment that a rush takes."""


@dataclass(frozen=True, kw_only=True)
class PublishedPort:
    """A port of the host that leads into the container."""

    address: str
    """Of the host, to listen on."""
    host: int
    container: int


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One opencode container on one Docker host."""

    name: str
    """Of the container and of its network: derived from the stack."""
    hostname: str
    environment: dict[str, str]
    """Nothing secret: ``docker inspect`` shows it."""
    secrets: tuple[str, ...] = ()
    """Names only: whoever makes the container has their values, and puts them in files."""
    ports: tuple[PublishedPort, ...]
    volumes: dict[Volume, str]
    """Name of the Docker volume of each kind of data."""
    mounts: tuple[BindMount, ...] = ()
    """Folders of the host."""
    memory_mb: int
    cpus: int
    """0: all of the host's."""
    capabilities: tuple[str, ...] = CAPABILITIES
    """Those added after all were dropped."""
    security_options: tuple[str, ...] = ("no-new-privileges",)
    sysctls: dict[str, str]
    health: Health = Health()
    restart: str = "unless-stopped"
    """When the engine starts it again."""
    most_restarts: int = 0
    """After failures in a row, under ``on-failure``; 0: not limited."""
    stop_seconds: int = 10
    """How long services may take to close before the engine kills them."""
    log_options: dict[str, str]
    labels: dict[str, str]


def _restart(policy: str) -> tuple[str, int]:
    """Take a policy apart: ``on-failure:5`` is ``on-failure``, five times."""
    when, _, times = policy.partition(":")
    return when, int(times or 0)


def stack_label(stack: str) -> dict[str, str]:
    """Label by which a stack's own Docker objects are found again."""
    return {"org.opencode-cloud.stack": stack}


def _public_name(settings: Settings) -> dict[str, str]:
    """Label by which commands know what the container itself is not told."""
    return {PUBLIC_NAME_LABEL: settings.alb_domain} if settings.is_load_balanced else {}


def container_spec(
    settings: Settings, stack: str, environment: Environment = NO_ENVIRONMENT
) -> ContainerSpec:
    """Describe the container of ``stack``; the same values give the same container."""
    name = f"opencode-{stack}"
    # Exactly one starts it again: the unit, or the engine.
    policy = NO_RESTART if settings.service_unit else settings.restart_policy
    restart, most_restarts = _restart(policy)
    return ContainerSpec(
        name=name,
        hostname=name,
        environment=_environment(settings, stack) | _variables(environment),
        secrets=environment.secrets,
        ports=tuple(_ports(settings)),
        volumes={volume: f"{name}-{volume}" for volume in Volume},
        mounts=settings.bind_mounts,
        memory_mb=settings.memory_mb,
        cpus=settings.cpus,
        sysctls=SYSCTLS,
        restart=restart,
        most_restarts=most_restarts,
        # The engine's own default never rotates, and would fill the disk.
        log_options={"max-size": "10m", "max-file": "3"},
        labels=stack_label(stack) | _public_name(settings),
    )


def _environment(settings: Settings, stack: str) -> dict[str, str]:
    """What the gateway is told; docker/gateway/settings.py reads it. Defaults are left out."""
    values = {
        "DEPLOYMENT": stack,
        "TLS": settings.gateway_tls if settings.has_tls else "",
        "PUBLIC_ADDRESS": settings.public_address,
        "PUBLISHED_PORT": str(settings.port) if settings.has_tls else "",
        "HOSTNAMES": settings.gateway_hostnames,
        "TRUST_PROXY": settings.trusted_proxies,
        "PROXY_PROTOCOL": "true" if settings.proxy_protocol else "",
        "RATE_LIMIT_ATTEMPTS": str(settings.rate_limit_attempts),
        "RATE_LIMIT_WINDOW_SECONDS": str(settings.rate_limit_window_seconds),
        "METRICS": "true" if settings.metrics_port else "",
        "PUID": str(settings.puid or ""),
        "PGID": str(settings.pgid or ""),
        "ACME_SERVER": settings.acme_server if settings.has_public_certificate else "",
        "ACME_EMAIL": settings.acme_email if settings.has_public_certificate else "",
    }
    return {f"OPENCODE_CLOUD_{name}": value for name, value in values.items() if value}


def _variables(environment: Environment) -> dict[str, str]:
    return {f"{VARIABLE_PREFIX}{name}": value for name, value in environment.variables.items()}


def _ports(settings: Settings) -> Iterator[PublishedPort]:
    yield PublishedPort(
        address=settings.bind_address,
        host=settings.port,
        container=HTTPS_PORT if settings.has_tls else HTTP_PORT,
    )
    if settings.redirect_port:
        yield PublishedPort(
            address=settings.bind_address, host=settings.redirect_port, container=HTTP_PORT
        )
    if settings.metrics_port:
        yield PublishedPort(address="127.0.0.1", host=settings.metrics_port, container=METRICS_PORT)
