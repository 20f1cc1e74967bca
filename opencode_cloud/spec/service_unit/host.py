"""The script that does something with a unit on its host."""

import shlex
from collections.abc import Callable

from opencode_cloud.spec.service_unit.launchd import label, launchd_agent
from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec, part, unit_name
from opencode_cloud.spec.service_unit.systemd import systemd_unit

Words = Callable[..., tuple[str, ...]]
"""Gives the command line that runs words on a host."""


def host_script(stack: str, spec: ServiceUnitSpec | None = None) -> str:
    """Write the script for `sh -s`; without a `spec` it can do all but install.

    Its one argument is install, remove, start, stop or show. It finds out itself whether the host
    is a Linux or a Mac.
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
