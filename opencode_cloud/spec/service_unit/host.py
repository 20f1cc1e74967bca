"""What is run on a host to do something with its unit."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass

from opencode_cloud.spec.service_unit.launchd import label, launchd_agent
from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec, part, unit_name
from opencode_cloud.spec.service_unit.systemd import systemd_unit
from opencode_cloud.spec.service_unit.windows import register, unregister, windows_task

Words = Callable[..., tuple[str, ...]]
"""Gives the command line that runs words on a host."""


@dataclass(frozen=True, kw_only=True)
class UnitCommands:
    """Command lines for the shell of whoever runs them, nothing secret among them."""

    install: str
    """Also writes a unit anew that is there."""
    remove: str
    stdin: str
    """What both are given to read."""


def commands_by(spec: ServiceUnitSpec, words: Words) -> UnitCommands:
    """Give the commands for a host with a POSIX shell."""
    return UnitCommands(
        install=shlex.join(words("sh", "-s", "install")),
        remove=shlex.join(words("sh", "-s", "remove")),
        stdin=host_script(spec.stack, spec),
    )


def commands_here(spec: ServiceUnitSpec) -> UnitCommands:
    """Give the commands for this machine."""
    if sys.platform != "win32":
        return commands_by(spec, lambda *words: words)
    return UnitCommands(
        install=register(spec.stack), remove=unregister(spec.stack), stdin=windows_task(spec)
    )


def host_script(stack: str, spec: ServiceUnitSpec | None = None) -> str:
    """Write the script for `sh -s`; without a `spec` it can neither check nor install.

    Its one argument is check, prepare, install, remove, start, stop or show. It finds out itself
    whether the host is a Linux or a Mac.
    """
    values = {"name": unit_name(stack), "label": label(stack)}
    if spec:
        values |= {
            "mode": spec.mode.value,
            "unit": systemd_unit(spec),
            "agent": launchd_agent(spec),
        }
    given = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return given + part("host.sh")
