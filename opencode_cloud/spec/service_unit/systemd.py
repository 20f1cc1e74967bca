"""The deployment as a service of systemd: a user's own, or the machine's."""

from collections.abc import Iterator

from opencode_cloud.spec.service_unit.spec import GIVEN_UP, ServiceUnitSpec, part
from opencode_cloud.spec.units import quoted

STOP_SECONDS = 60
"""More than Docker gives the container before it kills it."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
# Ended first, or it would take the stop for a failure.
_STOP = 'kill "$2" 2> /dev/null; exec docker stop "$1"'

_CONFINED = (
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    # Docker is reached by its socket alone.
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "UMask=0077",
)
"""What a user's own systemd can do without namespaces, which not every machine lets users make."""
_CONFINED_ROOT = (
    # For a rootless engine's socket, which is another user's.
    "CapabilityBoundingSet=CAP_DAC_OVERRIDE",
    "PrivateDevices=yes",
    "PrivateNetwork=yes",
    "PrivateTmp=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHome=tmpfs",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectSystem=strict",
)


def systemd_unit(spec: ServiceUnitSpec) -> str:
    """Write the unit's file."""
    return "\n".join([*_lines(spec), ""])


def _lines(spec: ServiceUnitSpec) -> Iterator[str]:
    container, is_system = quoted(spec.container), spec.is_system
    yield "# Written by opencode-cloud, which writes it anew; `occ uninstall --unit` removes it."
    yield "[Unit]"
    yield f"Description=opencode-cloud deployment {spec.stack}"
    # A user's unit cannot be ordered after the machine's: it waits for Docker itself.
    if is_system:
        yield "After=docker.service docker.socket"
    yield "# The restarts are counted below, anew after each good run."
    yield "StartLimitIntervalSec=0"
    yield ""
    yield "[Service]"
    yield "Type=exec"
    yield f"SyslogIdentifier={spec.name}"
    yield f"Environment={quoted(f'DOCKER_HOST={spec.docker_host}')}"
    yield f"Environment=PATH={_PATH}{'' if is_system else ':%h/bin:%h/.local/bin'}"
    counted = f'"%t/{spec.name}/failures" {GIVEN_UP} 0'
    yield f"ExecStart=/bin/sh -c {_script(part('run.sh'))} \\"
    yield f"    sh {container} {spec.retries} {counted}"
    yield f"ExecStop=/bin/sh -c {quoted(_STOP, is_command=True)} sh {container} $MAINPID"
    yield f"TimeoutStopSec={STOP_SECONDS}"
    yield "Restart=always"
    yield f"RestartSec={spec.delay}"
    yield f"RestartPreventExitStatus={GIVEN_UP}"
    yield f"RuntimeDirectory={spec.name}"
    yield "RuntimeDirectoryPreserve=restart"
    yield from _CONFINED
    yield from _CONFINED_ROOT if is_system else ()
    yield ""
    yield "[Install]"
    yield f"WantedBy={'multi-user' if is_system else 'default'}.target"


def _script(text: str) -> str:
    """Write a script as one word, a line of it on each line; comments are left to the source."""
    lines = [
        quoted(line, is_command=True)[1:-1]
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return '"\\\n' + "".join(f"    {line}\\n\\\n" for line in lines) + '    "'
