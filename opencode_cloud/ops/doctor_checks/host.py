"""The host that a deployment runs on, where it is not this machine."""

from collections.abc import Iterator
from dataclasses import replace

from opencode_cloud.ops.doctor_checks import docker, machine
from opencode_cloud.ops.doctor_checks.finding import OK, Finding, ok
from opencode_cloud.ops.host_facts import HostFacts

REACH = "host.reach"

_THERE = ("docker", "deployment", "host")
"""Groups whose commands are for the host; those of the others are typed here."""
_COMMANDS = ("sudo ", "docker ", "mkdir ", "kill ", "ps ")


def check(name: str, told: HostFacts, limit: int) -> Iterator[Finding]:
    """Judge it as this machine is judged; `limit` is the container's memory in bytes."""
    there = told.machine
    yield ok(REACH, f"{name} answers over SSH")
    yield _of_host(machine.system(there))
    if there.data:
        yield _of_host(machine.room(there.data))
    yield from map(_of_host, machine.memory(there, limit))
    apart = docker.clock(there.now, told.asked)
    if apart.outcome == OK:
        yield ok("host.clock", apart.what)
        return
    yield replace(
        apart,
        check="host.clock",
        what=apart.what.replace("Docker's clock", "its clock"),
        why="Certificates and sessions end at the wrong time.",
        mend="sudo timedatectl set-ntp true",
    )


def on_host(found: Finding, name: str) -> Finding:
    """Say of a command that it is for the host."""
    if found.group not in _THERE or not found.mend.startswith(_COMMANDS):
        return found
    return replace(found, mend=f"on {name}: {found.mend}")


def _of_host(found: Finding) -> Finding:
    return replace(found, check=f"host.{found.check.partition('.')[2]}")
