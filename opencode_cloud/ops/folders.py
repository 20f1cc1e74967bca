"""What is known of paths on a machine: looked at here, or on a host by one script."""

import os
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.shells import Shell

FOLDER, OTHER, MISSING, HIDDEN = "folder", "other", "missing", "hidden"
"""What a path can lead to; `hidden` is what this user may not look at."""

_FIELDS = 7
_SCRIPT = r"""
export LC_ALL=C
home=$(cd && pwd -P)
say() { printf '%s\0' "$@"; }
look() {
    kind=missing may=no real=$(readlink -f -- "$2" || printf %s "$2")
    if [ -d "$2" ]; then kind=folder
    elif [ -e "$2" ]; then kind=other
    else case $(stat -L -- "$2" 2>&1) in *"Permission denied"*) kind=hidden ;; esac
    fi
    if [ -r "$2" ] && [ -x "$2" ]; then may=yes; fi
    say "$1" "$kind" "$may" $(stat -L -c '%u %g %a' -- "$2" 2>/dev/null || echo 0 0 0) "$real"
}
say "$home" "$(cat /proc/self/mountinfo 2>/dev/null)"
while IFS= read -r path; do
    case $path in
        "~/"*) look "$path" "$home/${path#*/}" ;;
        *) look "$path" "$path" ;;
    esac
done
for socket in /run/user/*/docker.sock /run/user/*/podman/podman.sock; do
    if [ -S "$socket" ]; then look "$socket" "$socket"; fi
done
"""
"""Reads paths, one a line, where `~` is the user's home; fields end with NUL, as names may hold
anything else."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One path."""

    real: str
    """Where it leads, through all links."""
    kind: str
    may_read: bool = False
    """Whether the user who looked may read what is in it."""
    user: int = 0
    """Who owns it."""
    group: int = 0
    mode: int = 0
    """Permission bits."""
    owner_is_known: bool = True
    """Whether a container sees this owner: on a Mac, Docker's own machine makes all look right."""


def see(path: str) -> Seen:
    """Look at a path of this machine."""
    real = os.path.realpath(path)
    try:
        found = Path(real).stat()
    except FileNotFoundError:
        return Seen(real=real, kind=MISSING)
    except OSError:
        return Seen(real=real, kind=HIDDEN)
    return Seen(
        real=real,
        kind=FOLDER if stat.S_ISDIR(found.st_mode) else OTHER,
        may_read=os.access(real, os.R_OK | os.X_OK),
        user=found.st_uid,
        group=found.st_gid,
        mode=stat.S_IMODE(found.st_mode),
        owner_is_known=sys.platform == "linux",
    )


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A host's answer about many paths."""

    home: str
    mounted: str
    """Its table of mounted file systems."""
    seen: Mapping[str, Seen]
    """By the paths that were asked for, and by those of engines' sockets that it has besides."""


def see_there(shell: "Shell", paths: Iterable[str]) -> Sight:
    """Look at paths of a host, all at once.

    Raises:
        OperationError: it cannot be reached, or has no such tools.
    """
    asked = list(dict.fromkeys(paths))
    done = shell.run(_SCRIPT, stdin="".join(f"{path}\n" for path in asked))
    fields = done.out.split("\0")
    if not done.ok or len(fields) <= len(asked) * _FIELDS:
        raise OperationError(f"{shell.name} does not say what its folders are: {done.err.strip()}")
    return read(fields)


def read(fields: Sequence[str]) -> Sight:
    """Read what the script wrote."""
    home, mounted, *rest = fields
    rows = (rest[at : at + _FIELDS] for at in range(0, len(rest) - _FIELDS + 1, _FIELDS))
    seen = {
        path: Seen(
            real=real,
            kind=kind,
            may_read=may == "yes",
            user=int(user),
            group=int(group),
            mode=int(mode, 8),
        )
        for path, kind, may, user, group, mode, real in rows
    }
    return Sight(home=home, mounted=mounted, seen=seen)


def mount_points(table: str) -> tuple[Path, ...]:
    """Read where something is mounted, from the kernel's table (proc_pid_mountinfo(5))."""
    # Spaces and the like are written as \040.
    return tuple(
        Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split()[4]))
        for line in table.splitlines()
    )
