"""Units of systemd: values in, text out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NIGHT = "03:00"
"""When nothing else is said."""
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class BackupUnits:
    """What has a command run by the clock."""

    name: str
    """Of both units, without what they end with."""
    service: str
    timer: str


def is_time(text: str) -> bool:
    """Whether a text is a time of day as HH:MM."""
    return _TIME.fullmatch(text) is not None


def backup_units(
    stack: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    at: str = NIGHT,
    weekly: bool = False,
) -> BackupUnits:
    """Write the units that run `command` each day, or each Sunday, at `at`."""
    name = f"opencode-cloud-backup-{stack}"
    variables = [
        f"Environment={quoted(f'{key}={value}')}" for key, value in sorted(environment.items())
    ]
    service = [
        "# Written by `occ backup schedule`; `occ backup schedule --off` removes it.",
        "[Unit]",
        f"Description=Backup of the opencode-cloud deployment {stack}",
        "After=docker.service network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={' '.join(quoted(word, is_command=True) for word in command)}",
        *variables,
        "UMask=0077",
        "Nice=10",
        "IOSchedulingClass=idle",
        "NoNewPrivileges=yes",
        "",
    ]
    timer = [
        "# Written by `occ backup schedule`; `occ backup schedule --off` removes it.",
        "[Unit]",
        f"Description=When the opencode-cloud deployment {stack} is backed up",
        "",
        "[Timer]",
        f"OnCalendar={'Sun ' if weekly else ''}*-*-* {at}:00",
        "# What was missed while the machine was off is done when it is on again.",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
        "",
    ]
    return BackupUnits(name, "\n".join(service), "\n".join(timer))


def quoted(word: str, *, is_command: bool = False) -> str:
    """Write a word so that systemd reads it as that word and nothing more.

    Raises:
        ValueError: it has a control character in it.
    """
    if any(ord(character) < ord(" ") for character in word):
        raise ValueError(f"{word!r} has a control character in it")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    # Variables are only expanded in commands.
    return f'"{escaped.replace("$", "$$") if is_command else escaped}"'
