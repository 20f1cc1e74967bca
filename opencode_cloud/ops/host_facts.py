"""What a host is: its system, memory, disk and clock, asked for by one script."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opencode_cloud.ops.doctor_checks.machine import Disk, Machine
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.shells import Shell
from opencode_cloud.start.machine import os_release

DOCKER_ROOT = "/var/lib/docker"
PRUNE = "docker image prune (removes images that have no name)"

_KIB = 1024
_FIELDS = 6
_SCRIPT = r"""
export LC_ALL=C
say() { printf '%s\0' "$1"; }
say "$(uname -s)"
say "$(cat /etc/os-release 2>/dev/null)"
say "$(cat /proc/meminfo 2>/dev/null)"
say "$(date -u +%s)"
while ! [ -e "$root" ]; do root=$(dirname -- "$root"); done
say "$root"
say "$(df -Pk -- "$root" 2>/dev/null; df -Pi -- "$root" 2>/dev/null)"
"""


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What one host said."""

    machine: Machine
    """Its `data` is where its Docker keeps everything."""
    asked: datetime
    """When, by this machine's clock."""


def look(shell: Shell, docker_root: str = DOCKER_ROOT) -> HostFacts:
    """Ask a host.

    Args:
        shell: its own.
        docker_root: where its engine keeps everything.

    Raises:
        OperationError: it cannot be reached, or does not say.
    """
    began = datetime.now(UTC)
    # Not on the command line, where a quote in it would be a shell's to read.
    done = shell.run(f"IFS= read -r root\n{_SCRIPT}", stdin=f"{docker_root}\n")
    ended = datetime.now(UTC)
    fields = done.out.split("\0")
    if not done.ok or len(fields) <= _FIELDS:
        raise OperationError(f"{shell.name} does not say what it is: {done.err.strip()}")
    return HostFacts(machine=read(fields), asked=began + (ended - began) / 2)


def read(fields: Sequence[str]) -> Machine:
    """Read what the script wrote."""
    system, release, memory, seconds, root, disk, *_ = fields
    known = memory_of(memory)
    return Machine(
        system=system,
        name=os_release(release).get("PRETTY_NAME", system),
        now=datetime.fromtimestamp(int(seconds), UTC),
        built=datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC),
        data=_disk(root, disk),
        memory=known.get("MemTotal"),
        memory_available=known.get("MemAvailable"),
    )


def _disk(root: str, told: str) -> Disk | None:
    """Read two tables of df; None where there are none."""
    rows = [line.split() for line in told.splitlines() if not line.startswith("Filesystem")]
    available = [row[3] for row in rows if len(row) > 3]  # noqa: PLR2004 - df's fourth column
    if not available or not available[0].isdecimal():
        return None
    inodes = available[1] if len(available) > 1 else ""
    # File systems that make inodes as they need them count none.
    counted = int(inodes) if inodes.isdecimal() and int(inodes) else None
    return Disk(
        name="docker", path=root, free=int(available[0]) * _KIB, inodes=counted, clean=PRUNE
    )


def memory_of(meminfo: str) -> dict[str, int]:
    """Read /proc/meminfo, in bytes."""
    rows = re.findall(r"^(\w+): +(\d+) kB$", meminfo, re.MULTILINE)
    return {name: int(count) * _KIB for name, count in rows}
