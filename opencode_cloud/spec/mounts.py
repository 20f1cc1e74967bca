"""Folders of the host in the container, written `/host/folder:/container/folder[:ro]`."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from opencode_cloud.spec.volumes import MOUNT_PATHS, Volume

FORM = "/host/folder:/container/folder, with :ro behind it for read-only"

_MODES = {"": True, "rw": True, "ro": False}
"""Whether each leaves the folder writable."""
_LEAST, _MOST = 2, 3
"""Parts of a mount as it is written."""

_SYSTEM = tuple(
    PurePosixPath(path)
    for path in (
        *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc"),
        *("/root", "/run", "/sbin", "/sys", "/usr", "/var"),
    )
)
_HOMES = PurePosixPath("/home")
_AGENTS_HOME = PurePosixPath("/home/opencode")
_SHARED = PurePosixPath("/tmp")  # noqa: S108 - a path to refuse
_MAY_HOLD_MOUNTS = (Volume.WORKSPACE, Volume.CONFIG)
"""Volumes that are people's to arrange; what is in the others is written by programs alone."""


class MountError(ValueError):
    """A mount cannot be used: why, and what to do."""

    def __init__(self, why: str, fix: str) -> None:
        self.why = why
        self.fix = fix
        super().__init__(f"{why}: {fix}")


@dataclass(frozen=True)
class BindMount:
    """One folder of the host, and where it is in the container."""

    source: str
    """On the host."""
    target: str
    """In the container."""
    writable: bool = True

    def __str__(self) -> str:
        return f"{self.source}:{self.target}" + ("" if self.writable else ":ro")


def parse_mount(text: str) -> BindMount:
    """Read one mount; what is in the way of it on the host is not looked at.

    Raises:
        MountError: it cannot be used.
    """
    parts = text.split(":")
    source, target, mode = (*parts, "", "", "")[:3]
    if not text.isprintable() or "," in text:
        raise MountError(f"holds {text!r}, with a character that no mount may have", "leave it out")
    if len(parts) < _LEAST and source.startswith("/"):
        name = _suggestion(source)
        raise MountError(f"holds {text!r}, which says not where to", f"write {source}:{name}")
    if not _LEAST <= len(parts) <= _MOST or mode not in _MODES:
        raise MountError(f"holds {text!r}, which is no mount", f"write it as {FORM}")
    mount = BindMount(_folder(source), _folder(target), _MODES[mode])
    if reason := _unusable(PurePosixPath(mount.target)):
        raise MountError(
            f"holds {text!r}, but {mount.target} in the container {reason}",
            f"choose another place, such as {mount.source}:{_suggestion(mount.source)}",
        )
    return mount


def parse_mounts(text: str) -> tuple[BindMount, ...]:
    """Read several, with commas between.

    Raises:
        MountError: one cannot be used, or two have the same place.
    """
    mounts = tuple(parse_mount(item.strip()) for item in text.split(",") if item.strip())
    targets = [mount.target for mount in mounts]
    for target in targets:
        if targets.count(target) > 1:
            raise MountError(f"mounts two folders at {target}", "give each a place of its own")
    return mounts


def join_mounts(mounts: Iterable[BindMount]) -> str:
    """Write several as `parse_mounts` reads them."""
    return ",".join(map(str, mounts))


def _folder(path: str) -> str:
    """Give a path in the one way to write it."""
    if not path.startswith("/"):
        raise MountError(f"holds {path!r}, which is not an absolute path", "write it whole, from /")
    if ".." in path.split("/"):
        raise MountError(f"holds {path!r}, which goes up again", "write the path without ..")
    # The standard leaves two slashes at the beginning as they are.
    return "/" + posixpath.normpath(path).lstrip("/")


def _suggestion(source: str) -> str:
    return f"/workspace/{PurePosixPath(source).name or 'NAME'}"


def _unusable(target: PurePosixPath) -> str:
    """Say why no folder can be mounted there; empty when one can."""
    if target == PurePosixPath("/"):
        return "is the whole of it"
    if target == _SHARED or any(target.is_relative_to(folder) for folder in _SYSTEM):
        return "belongs to the system"
    for volume, place in MOUNT_PATHS.items():
        path = PurePosixPath(place)
        if path.is_relative_to(target):
            return f"is, or holds, the deployment's own {volume} volume"
        if target.is_relative_to(path) and volume not in _MAY_HOLD_MOUNTS:
            return f"is in the deployment's own {volume} volume"
    if target.is_relative_to(_HOMES) and _AGENTS_HOME not in target.parents:
        return "is where people's homes are made"
    return ""
