"""The folder of the Pulumi program: a checkout, or a copy that an installed `occ` keeps.

A wheel carries the program beside this package's modules. Pulumi wants a folder that it
may write stacks' settings into, with a `.venv` in it: that is made of what the wheel
carries, below the user's data, and made anew whenever another version is installed.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opencode_cloud import __version__
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.start import stack_file
from opencode_cloud.start.paths import Paths

_PACKAGE = Path(__file__).parents[1]
CARRIED = _PACKAGE / "project"
"""The program in an installed wheel; a checkout has no such folder."""

DEFAULT_STACK = "local"
_MADE_FROM = ".made-from"
_ENVIRONMENT = ".venv"
_USERS = "stacks/Pulumi.*.yaml"
"""What is not ours to renew."""


def is_installed() -> bool:
    """Whether this `occ` was installed, and does not lie in a checkout."""
    return CARRIED.is_dir()


def folder() -> Path:
    """Give the program's folder; installed, it may not be there yet. Reads nothing."""
    return _copy() if is_installed() else _PACKAGE.parent


def root() -> Path:
    """Give the program's folder, made or renewed first where this `occ` was installed.

    Raises:
        OperationError: this installation cannot run the program; says how to install it.
    """
    if is_installed():
        _renew(_copy())
    return folder()


def paths(environment: dict[str, str] | None = None) -> Paths:
    """Give where the program is, and where this user's state is."""
    return Paths.of(root(), dict(os.environ) if environment is None else environment)


def setup_command(stack: str) -> str:
    """Write the command that makes a deployment, as it is typed here."""
    settings = stack_file.read(folder() / "stacks" / f"Pulumi.{stack}.yaml")
    if settings.get("target") in stack_file.CLOUDS:
        return f"pulumi up -s {stack}"
    if is_installed() or settings.get("target", "local") != "local":
        return "occ setup" if stack == DEFAULT_STACK else f"occ --host {stack} setup"
    return "./start" if stack == DEFAULT_STACK else f"./start --stack {stack}"


def _copy() -> Path:
    return Paths.of(_PACKAGE, os.environ).data / "project"


def _renew(copy: Path) -> None:
    wanted = f"{__version__} {CARRIED} {CARRIED.stat().st_mtime_ns}\n"
    environment = _environment()
    if _text(copy / _MADE_FROM) == wanted and _target(copy / _ENVIRONMENT) == environment:
        return
    copy.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(copy.with_suffix(".lock")):
        (copy / _MADE_FROM).unlink(missing_ok=True)
        _copy_files(CARRIED, copy)
        _point(copy / _ENVIRONMENT, environment)
        # Last: half a copy is none.
        (copy / _MADE_FROM).write_text(wanted)


def _environment() -> Path:
    """Give the Python environment that this process runs in: Pulumi runs the program in it."""
    environment = Path(sys.prefix)
    if sys.prefix == sys.base_prefix or not (environment / "bin" / "python").exists():
        raise OperationError(
            "occ is installed among the system's own Python packages, where Pulumi cannot run its "
            "program. Install it in an environment of its own: pipx install opencode-cloud (or "
            "uv tool install opencode-cloud)."
        )
    return environment


def _copy_files(source: Path, target: Path) -> None:
    """Make `target` what `source` is, but for the user's own files and ours about it."""
    import shutil

    carried = {path.relative_to(source) for path in source.rglob("*") if _is_carried(path)}
    for name in sorted(carried):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        unfinished = target / f"{name}.new"
        # With its mode: what is executable in the image is so here.
        shutil.copy2(source / name, unfinished)
        unfinished.replace(target / name)
    kept = {path.relative_to(target) for path in target.glob(_USERS)}
    ours = {Path(_MADE_FROM), Path(_ENVIRONMENT)}
    for path in _files(target):
        if path.relative_to(target) not in carried | kept | ours:
            path.unlink()


def _is_carried(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _files(top: Path) -> list[Path]:
    """Give every file below `top`; links are not followed."""
    return [Path(place, name) for place, _, names in os.walk(top) for name in names]


def _point(link: Path, target: Path) -> None:
    unfinished = link.with_name(f"{link.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(target)
    unfinished.replace(link)


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _target(link: Path) -> Path | None:
    return link.readlink() if link.is_symlink() else None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
