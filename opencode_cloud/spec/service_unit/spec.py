"""What a service unit is told, whichever system it is for."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Slow to load, and `occ status` reads units too.
    from opencode_cloud.settings import BootMode, Settings

GIVEN_UP = 75
"""Exit code of a systemd unit that is not to be started again."""


@dataclass(frozen=True, kw_only=True)
class ServiceUnitSpec:
    """One deployment's unit."""

    stack: str
    container: str
    """Name of the container; it is there already, and starts by `docker start`."""
    docker_host: str
    """URL of the engine's socket, on the host."""
    mode: "BootMode"
    retries: int
    """How often in a row the container is started again after it ended."""
    delay: int
    """Seconds before that."""

    @property
    def name(self) -> str:
        """Of the unit, without what a system puts around it."""
        return unit_name(self.stack)

    @property
    def is_system(self) -> bool:
        """Whether it is the machine's, and not a user's."""
        return self.mode == "system"


def unit_name(stack: str) -> str:
    """Name a stack's unit: unlike the backups' (`opencode-cloud-backup-…`), whatever the stack."""
    return f"opencode-cloud-service-{stack}"


def service_unit_spec(settings: "Settings", stack: str) -> ServiceUnitSpec | None:
    """Describe the unit of ``stack``; ``None`` where Docker itself restarts the container."""
    if not settings.service_unit:
        return None
    return ServiceUnitSpec(
        stack=stack,
        container=f"opencode-{stack}",
        docker_host=settings.docker_host,
        mode=settings.boot_mode,
        retries=settings.restart_retries,
        delay=settings.restart_delay,
    )


def part(name: str) -> str:
    """Read one of the scripts beside this file."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
