"""The host that is meant where neither `--host` nor OPENCODE_STACK names one."""

import os
from pathlib import Path

from opencode_cloud.ops.project import DEFAULT_STACK
from opencode_cloud.start.paths import Paths


def read() -> str:
    """Give its stack's name."""
    try:
        return _file().read_text().strip() or DEFAULT_STACK
    except FileNotFoundError:
        return DEFAULT_STACK


def write(name: str) -> None:
    """Make a stack the one that is meant."""
    file = _file()
    if name == DEFAULT_STACK:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.write_text(f"{name}\n")
    unfinished.replace(file)


def forget(name: str) -> None:
    """Mean `local` again, where `name` was meant."""
    if read() == name:
        write(DEFAULT_STACK)


def is_implied(stack: str) -> bool:
    """Whether a command that names no host is about this stack."""
    # Another default may be another tomorrow, when what we wrote is typed.
    return stack == DEFAULT_STACK == read()


def _file() -> Path:
    # Wherever the program is.
    return Paths.of(Path(), os.environ).default_host
