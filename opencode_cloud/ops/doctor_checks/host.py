"""The host that a deployment runs on, where it is not this machine."""

from collections.abc import Iterator
from dataclasses import replace

from opencode_cloud.ops.doctor_checks.finding import Finding, ok
from opencode_cloud.ops.hosts import judgement
from opencode_cloud.ops.hosts.look import Look

REACH = "host.reach"

_THERE = ("docker", "deployment", "host")
"""Groups whose commands are for the host; those of the others are typed here."""
_COMMANDS = ("sudo ", "docker ", "mkdir ", "kill ", "ps ")


def check(name: str, look: Look, stack: str, limit: int) -> Iterator[Finding]:
    """Judge it as a host is that is to be added; `limit` is the container's memory in bytes."""
    yield ok(REACH, f"{name} answers over SSH")
    for found in (
        judgement.system(look.facts),
        judgement.room(look.facts),
        *judgement.machine_memory(look.facts, stack, limit),
        judgement.clock(look.skew),
    ):
        yield replace(found, check=f"host.{found.check.partition('.')[2]}")


def on_host(found: Finding, name: str) -> Finding:
    """Say of a command that it is for the host."""
    if found.group not in _THERE or not found.mend.startswith(_COMMANDS):
        return found
    return replace(found, mend=f"on {name}: {found.mend}")
