"""This machine: room on its disks, memory, clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from opencode_cloud.ops.doctor_checks.finding import Finding, ok, problem, warning
from opencode_cloud.ops.room import FULL

_MIB, _GIB = 2**20, 2**30
_TIGHT = 5 * _GIB
"""An image of ours takes 0.7 GiB, and its build a few times that."""
_FEW_INODES = 10_000
_LITTLE_MEMORY = 256 * _MIB


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A place where something is kept, and the room that is left there."""

    name: str
    path: str
    free: int
    """Bytes that an ordinary user may take."""
    inodes: int | None
    """None: the file system does not count them."""
    clean: str
    """The command that makes room."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is known of it."""

    system: str
    """`Linux` or `Darwin`."""
    name: str
    now: datetime
    built: datetime
    """When this program was written to the disk: no sane clock says less."""
    data: Disk | None = None
    """Where state and backups are kept."""
    memory: int | None = None
    """Bytes in all; None where the system does not say."""
    memory_available: int | None = None


def check(machine: Machine, limit: int) -> Iterator[Finding]:
    """Judge all of it; `limit` is the container's memory in bytes."""
    yield system(machine)
    if machine.data:
        yield room(machine.data)
    yield from memory(machine, limit)
    yield clock(machine)


def system(machine: Machine) -> Finding:
    """Judge the operating system."""
    if machine.system in ("Linux", "Darwin"):
        return ok("machine.system", machine.name)
    return problem(
        "machine.system",
        f"{machine.name} is not a system that occ works on",
        "It needs Linux or macOS; on Windows, that is WSL.",
        "wsl --install -d Debian",
    )


def room(disk: Disk) -> Finding:
    """Judge the room on one disk."""
    name = "docker.room" if disk.name == "docker" else "machine.room"
    left = f"{disk.free / _GIB:.1f} GiB left at {disk.path}"
    if disk.inodes is not None and disk.inodes < _FEW_INODES:
        why = "Nothing new can be written there when they are used up, whatever room there is."
        return problem(name, f"only {disk.inodes} more files fit in {disk.path}", why, disk.clean)
    if disk.free < FULL:
        why = "What is written fails half-way: sessions, logs, state."
        return problem(name, f"only {left}", why, disk.clean)
    if disk.free < _TIGHT:
        why = "An image, its build or a backup may not fit."
        return warning(name, f"only {left}", why, disk.clean)
    return ok(name, left)


def memory(machine: Machine, limit: int) -> Iterator[Finding]:
    """Judge memory, as far as the system says."""
    if machine.memory is None:
        return
    have = f"{machine.memory // _MIB} MiB of memory"
    if limit > machine.memory:
        yield warning(
            "machine.memory",
            f"{have}, and the container may take {limit // _MIB} MiB",
            "The kernel ends whatever it likes when memory is out.",
            f"occ config set memory_mb {max(1024, machine.memory // _MIB * 3 // 4)}",
        )
    elif machine.memory_available is not None and machine.memory_available < _LITTLE_MEMORY:
        yield warning(
            "machine.memory",
            f"only {machine.memory_available // _MIB} MiB of memory are free",
            "The kernel ends whatever it likes when memory is out.",
            "ps -eo rss,comm --sort=-rss | head",
        )
    else:
        yield ok("machine.memory", have)


def clock(machine: Machine) -> Finding:
    """Judge the clock by what cannot be."""
    if machine.now + timedelta(days=1) < machine.built:
        return problem(
            "machine.clock",
            f"the clock says {machine.now:%Y-%m-%d %H:%M} UTC, which has been",
            "Certificates are refused, and sessions end at the wrong time.",
            "sudo timedatectl set-ntp true",
        )
    return ok("machine.clock", f"{machine.now:%Y-%m-%d %H:%M} UTC")
