"""What `occ host` tells of hosts."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from opencode_cloud.ops import default_host
from opencode_cloud.ops.doctor_checks.finding import Finding, ok, problem
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.hosts.judgement import findings, fit
from opencode_cloud.ops.hosts.look import Look, Say, look, look_patiently
from opencode_cloud.ops.hosts.registry import Host
from opencode_cloud.ops.ssh import SshError
from opencode_cloud.spec.host_key import HostKey
from opencode_cloud.spec.host_probe.facts import Facts

LIST_SECONDS = 8
"""How long each host of a list may take to answer."""
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One host of a list."""

    name: str
    """Of its stack."""
    where: str
    """How it is reached."""
    groups: list[str]
    default: bool
    """Whether it is meant where no host is named."""
    reachable: bool
    why: str
    """Why it is not."""
    looked_at: str | None
    """When the facts were found; null: never."""
    facts: Facts | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """All that is known of one host here. It is not asked."""

    name: str
    """Of its stack."""
    file: str
    """The stack's settings."""
    where: str
    """How it is reached."""
    command: str
    """What a person types to reach it."""
    groups: list[str]
    default: bool
    """Whether it is meant where no host is named."""
    host_keys: list[HostKey]
    """Those that it must have one of."""
    docker_socket: str
    """Path there; empty: Docker's usual one."""
    looked_at: str | None
    """When the facts were found; null: never."""
    facts: Facts | None


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a look at a host found, and what it means."""

    name: str
    """Of its stack."""
    where: str
    """How it is reached."""
    well: bool
    """Whether there is no problem; warnings are none."""
    findings: list[Finding]
    facts: Facts | None
    """Null where it could not be reached."""


def listed(hosts: Sequence[Host]) -> list[Listed]:
    """Look at hosts side by side, each within a short limit."""
    if not hosts:
        return []
    with ThreadPoolExecutor(min(len(hosts), _AT_ONCE)) as pool:
        return list(pool.map(_listed, hosts))


def _listed(host: Host) -> Listed:
    found, why = host.last_look(), ""
    try:
        found = look(host.ssh(), host.port, host.socket, seconds=LIST_SECONDS)
        host.keep(found)
    except OperationError as error:
        why = str(error)
    return Listed(
        name=host.name,
        where=host.where,
        groups=host.groups,
        default=default_host.read() == host.name,
        reachable=not why,
        why=why,
        looked_at=_moment(found),
        facts=found.facts if found else None,
    )


def shown(host: Host) -> Shown:
    """Tell what is known."""
    found = host.last_look()
    return Shown(
        name=host.name,
        file=str(host.file),
        where=host.where,
        command=host.address.command,
        groups=host.groups,
        default=default_host.read() == host.name,
        host_keys=[HostKey.of(key) for key in host.address.host_keys],
        docker_socket=host.socket,
        looked_at=_moment(found),
        facts=found.facts if found else None,
    )


def tested(host: Host, *, wait: float, say: Say) -> Tested:
    """Look at a host, and judge it."""
    try:
        found = look_patiently(host.ssh(), host.port, host.socket, wait=wait, say=say)
    except SshError as error:
        what, _, mend = str(error).partition(". ")
        why = "Nothing of it can be seen or changed from here."
        lost = [problem("machine.connection", what, why, mend)]
        return Tested(name=host.name, where=host.where, well=False, findings=lost, facts=None)
    host.keep(found)
    seen = judged(host, found, f"occ host edit {host.name} --install-docker")
    return Tested(
        name=host.name, where=host.where, well=fit(seen), findings=seen, facts=found.facts
    )


def judged(host: Host, found: Look, install: str) -> list[Finding]:
    """Judge a look at a host.

    Args:
        host: that was looked at.
        found: by it.
        install: how Docker is installed by us, as it is typed.
    """
    way = ok("machine.connection", f"{found.facts.user.name} by {host.where}")
    rest = findings(found, host.name, port=host.port, memory=host.memory, install=install)
    return [way, *rest]


def _moment(found: Look | None) -> str | None:
    return f"{found.at:%Y-%m-%dT%H:%M:%SZ}" if found else None
