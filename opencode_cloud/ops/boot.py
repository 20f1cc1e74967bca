"""Whether a deployment comes back when its machine starts: by Docker's policy, or by a unit."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.service_unit import ServiceUnit

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost

_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
"""Of the engine that is the system's own service."""
_SYSTEMD = Path("/run/systemd/system")
_UNIT_FOLDERS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"))
_WANTED_BY = (
    *("multi-user.target.wants/docker.service", "sockets.target.wants/docker.socket"),
    "graphical.target.wants/docker.service",
)
_BACK_AT_BOOT = ("always", "unless-stopped")


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What brings the deployment back."""

    restart_policy: str
    """Docker's word, such as `unless-stopped`."""
    starts_at_boot: bool
    """As far as can be known here: where no systemd runs, Docker is taken to be started."""
    docker_enabled: bool | None
    """Whether systemd starts Docker itself; null where it is not systemd that does."""
    unit: ServiceUnit | None = None
    """The service unit that starts it; null: Docker does, or nobody."""


def boot(
    deployment: Deployment, *, docker_enabled: bool | None, unit: ServiceUnit | None = None
) -> Boot:
    """Tell from what `docker inspect` says, and the host."""
    policy = deployment.restart_policy
    # Stopped by hand, it stays so under this one.
    stays = policy == "unless-stopped" and not deployment.facts["State"]["Running"]
    back = unit.starts_at_boot if unit else policy in _BACK_AT_BOOT and not stays
    return Boot(
        restart_policy=policy,
        starts_at_boot=back and docker_enabled is not False,
        docker_enabled=docker_enabled,
        unit=unit,
    )


def docker_is_enabled(socket_path: str, *, running: Path = _SYSTEMD) -> bool | None:
    """Whether systemd starts the engine at boot; None where that is not systemd's to say."""
    if not running.is_dir() or socket_path not in _SOCKETS:
        return None
    return any((folder / unit).exists() for folder in _UNIT_FOLDERS for unit in _WANTED_BY)


def docker_is_enabled_on(host: "DockerHost") -> bool | None:
    """Tell it of the machine that a deployment runs on.

    Raises:
        OperationError: it cannot be reached.
    """
    if not host.is_remote:
        return docker_is_enabled(host.socket)
    if host.socket not in _SOCKETS:
        return None
    units = " ".join(f"{folder}/{unit}" for folder in _UNIT_FOLDERS for unit in _WANTED_BY)
    done = host.shell.run(
        f"[ -d {_SYSTEMD} ] || exit 0\n"
        f"for unit in {units}; do if [ -e $unit ]; then echo yes; exit; fi; done; echo no"
    )
    return {"yes": True, "no": False}.get(done.out.strip())


def why_not(found: Boot) -> str:
    """Say why it does not come back; empty when it does."""
    if found.starts_at_boot:
        return ""
    if found.docker_enabled is False:
        return "Docker itself is not started: sudo systemctl enable docker"
    if (unit := found.unit) and unit.enabled:
        return "its unit waits for its user to sign in, who does not linger"
    if unit or found.restart_policy in _BACK_AT_BOOT:
        return "it was stopped by hand"
    return f"its restart policy is {found.restart_policy}"
