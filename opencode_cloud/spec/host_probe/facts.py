"""The facts about a machine, read from what the probe printed there."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("probe.sh")
"""What the machine's `sh` is given on standard input."""

_LINE = re.compile(r"^occ: ([a-z-]+) (.*)$", re.MULTILINE)
_BOOTING = ("initializing", "starting")
_ROOTLESS = "name=rootless"


class ProbeError(ValueError):
    """The probe did not come to its end; says what came instead."""


@dataclass(frozen=True, kw_only=True)
class Os:
    """The operating system, as its os-release names it."""

    name: str
    """For people, such as `Debian GNU/Linux 13 (trixie)`."""
    id: str
    like: list[str]
    """Systems that it is made from."""
    version: str


@dataclass(frozen=True, kw_only=True)
class Docker:
    """An engine that answered."""

    socket: str
    """Path on the host."""
    version: str
    rootless: bool
    driver: str
    """How it keeps images, such as `overlay2`."""
    folder: str
    """Where it keeps its data."""
    cgroup_version: str
    limits: dict[str, bool]
    """Whether it can limit `memory`, `cpu` and `pids`."""


@dataclass(frozen=True, kw_only=True)
class User:
    """Who commands are run as there."""

    name: str
    uid: int
    groups: list[str]
    groups_of_next_login: list[str]
    """Others than `groups` when the user was added to one since the connection was opened."""
    root: str
    """`itself`; `sudo`: by sudo, without a password; empty: it has no such right."""
    linger: bool
    """Whether its services run while it is not logged in."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What systemd said; empty words where it is not systemd that starts services."""

    state: str
    """Of the system, such as `running`, `degraded` or `starting`."""
    docker_enabled: str
    """Whether Docker is started at boot: `enabled`, `disabled`, …"""
    docker_active: str
    user_manager: str
    """State of the user's own services."""
    user_docker_enabled: str
    """Whether the user's own, rootless Docker is started with these."""
    cloud_init_runs: bool
    """Whether the machine is still being set up for the first time."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What one look at a machine found. What it could not tell is null or empty."""

    os: Os
    system: str
    """The kernel's name, such as `Linux`."""
    kernel: str
    """Its release."""
    machine: str
    """Kind of processor, such as `x86_64`."""
    clock: int
    """Its time, in seconds since 1970."""
    user: User
    services: Services
    docker: Docker | None
    docker_command: str
    """Path of the `docker` command, which Docker's clients run over SSH."""
    docker_installed: bool
    """Whether there is an engine, running or not."""
    docker_failures: list[str]
    """Sockets that are there and did not answer, each with what was said."""
    disk: str
    """A place on the disk that Docker's data is on, or will be."""
    disk_free: int | None
    """Bytes."""
    inodes_free: int | None
    memory: int | None
    """Bytes in all."""
    memory_available: int | None
    port_taken: bool
    """Whether something listens at the deployment's port."""
    port_container: str
    """The container that has that port."""
    deployment: str
    """State of the deployment's container, in Docker's words; empty: there is none."""

    @property
    def is_booting(self) -> bool:
        """Whether what is missing now may come by itself in a moment."""
        services = self.services
        return (
            services.state in _BOOTING
            or services.docker_active == "activating"
            or services.cloud_init_runs
        )

    @property
    def is_denied(self) -> bool:
        """Whether an engine is there that this user may not use."""
        return any("permission denied" in failure.lower() for failure in self.docker_failures)

    @property
    def has_stale_groups(self) -> bool:
        """Whether a new connection would have other rights than this one."""
        return set(self.user.groups) != set(self.user.groups_of_next_login)


def read(text: str) -> Facts:
    """Read what the probe printed; other lines, such as a login's greeting, are left out.

    Raises:
        ProbeError: it was cut off.
    """
    said = dict(_LINE.findall(text))
    if "end" not in said:
        raise ProbeError(text.strip()[-500:])
    failures = [value for name, value in _LINE.findall(text) if name == "docker-failure"]
    return Facts(
        os=Os(
            name=said.get("os-name", ""),
            id=said.get("os-id", ""),
            like=said.get("os-like", "").split(),
            version=said.get("os-version", ""),
        ),
        system=said.get("system", ""),
        kernel=said.get("kernel", ""),
        machine=said.get("machine", ""),
        clock=_number(said, "clock") or 0,
        user=User(
            name=said.get("user", ""),
            uid=_number(said, "uid") or 0,
            groups=said.get("groups", "").split(),
            groups_of_next_login=said.get("groups-of-next-login", "").split(),
            root=said.get("root", ""),
            linger=said.get("linger") == "yes",
        ),
        services=Services(
            state=said.get("system-state", ""),
            docker_enabled=said.get("docker-enabled", ""),
            docker_active=said.get("docker-active", ""),
            user_manager=said.get("user-manager", ""),
            user_docker_enabled=said.get("user-docker-enabled", ""),
            cloud_init_runs="cloud-init" in said,
        ),
        docker=_docker(said),
        docker_command=said.get("docker-command", ""),
        docker_installed="dockerd" in said or bool(_docker(said)),
        docker_failures=failures,
        disk=said.get("disk", ""),
        disk_free=_bytes(said, "disk-free-kib"),
        inodes_free=_number(said, "inodes-free"),
        memory=_bytes(said, "memory-kib"),
        memory_available=_bytes(said, "memory-available-kib"),
        port_taken="port-taken" in said or bool(said.get("port-container")),
        port_container=said.get("port-container", ""),
        deployment=said.get("deployment", ""),
    )


def _docker(said: Mapping[str, str]) -> Docker | None:
    if "docker-socket" not in said:
        return None
    try:
        info = json.loads(said.get("docker-info", ""))
    except ValueError:
        info = {}
    return Docker(
        socket=said["docker-socket"],
        version=info.get("version", ""),
        rootless=_ROOTLESS in (info.get("security") or ()),
        driver=info.get("driver", ""),
        folder=info.get("folder", ""),
        cgroup_version=info.get("cgroup", ""),
        limits={name: info.get(name) is not False for name in ("memory", "cpu", "pids")},
    )


def _number(said: Mapping[str, str], name: str) -> int | None:
    value = said.get(name, "")
    return int(value) if value.isdecimal() else None


def _bytes(said: Mapping[str, str], name: str) -> int | None:
    value = _number(said, name)
    return None if value is None else value * 1024
