"""The agent's ids: the image's own, or those of whoever owns the folders that are mounted.

Runs at each start, before any of the agent's processes. The ids are changed in /etc by hand,
because `usermod` walks the whole home, mounted folders of the host included.
"""

import os
import re
import stat
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from accounts import saved

NAME = "opencode"
ETC = Path("/etc")
HISTORY = Path("/var/lib/opencode-cloud/users/agent-ids")
"""The ids that the agent has had since its volumes were last all of one owner."""
MOUNTS = Path("/proc/self/mountinfo")
PLACES = (
    "/home/opencode",
    "/home/opencode/.local/share/opencode",
    "/home/opencode/.local/state",
    "/home/opencode/.cache",
    "/home/opencode/.config/opencode",
    "/workspace",
)
"""What belongs to the agent: its home, and the volumes as init finds them mounted."""


_VOLUME = re.compile(r"/volumes/[^/]+/_data$")
"""Where Docker and Podman keep a volume on their disk."""


class RefusedError(Exception):
    """The agent cannot have these ids; the message says why and what to do."""


@dataclass(frozen=True)
class Ids:
    """A user's and a group's number."""

    user: int
    group: int

    def __str__(self) -> str:
        return f"{self.user}:{self.group}"


OWN = Ids(1000, 1000)
"""As docker/Dockerfile makes the agent."""


def wanted(environment: Mapping[str, str]) -> Ids:
    """Read what the container was told."""
    user, group = (environment.get(f"OPENCODE_CLOUD_{name}") or "" for name in ("PUID", "PGID"))
    for name, value in (("PUID", user), ("PGID", group)):
        if value and not re.fullmatch(r"[1-9][0-9]{0,9}", value, re.ASCII):
            raise RefusedError(f"OPENCODE_CLOUD_{name} is {value!r}: give an id, and never root's")
    return Ids(int(user or OWN.user), int(group or OWN.group))


def passwd_with(lines: list[str], ids: Ids) -> list[str]:
    """Give the lines of passwd in which the agent has `ids`."""
    for line in lines:
        name, _, user, *_ = line.split(":")
        if user == str(ids.user) and name != NAME:
            raise RefusedError(
                f"the user id {user} is {name}'s in this image: `id -u` prints yours, to be set "
                "as puid"
            )
    return [_with_ids(line, 2, [ids.user, ids.group]) for line in _named_first(lines)]


def group_with(lines: list[str], ids: Ids) -> list[str]:
    """Give the lines of group in which the agent's group has its id, perhaps with another one."""
    if any(line.split(":")[0] == "shadow" and _id(line) == ids.group for line in lines):
        raise RefusedError(f"the group id {ids.group} is shadow's, who read password hashes")
    return [_with_ids(line, 2, [ids.group]) for line in _named_first(lines)]


def _id(line: str) -> int:
    return int(line.split(":")[2])


def _named_first(lines: list[str]) -> list[str]:
    """Put the agent's line behind root's: of two groups with one id, the first gives the name."""
    return [*lines[:1], *sorted(lines[1:], key=lambda line: not line.startswith(f"{NAME}:"))]


def _with_ids(line: str, place: int, ids: list[int]) -> str:
    fields = line.split(":")
    if fields[0] == NAME:
        fields[place : place + len(ids)] = map(str, ids)
    return ":".join(fields)


def rename(etc: Path, ids: Ids) -> None:
    """Give the agent its ids in `etc`."""
    for file, change in (("passwd", passwd_with), ("group", group_with)):
        lines = saved.read(etc / file)
        changed = change(lines, ids)
        if set(changed) != set(lines):
            saved.replace(etc / file, changed, saved.FILES[file], owner=etc / file)


def mount_points(mountinfo: str) -> dict[str, str]:
    """Read where something is mounted, and which folder of its disk, from the kernel's table."""
    fields = [line.split(" ") for line in mountinfo.splitlines()]
    return {_unescaped(field[4]): _unescaped(field[3]) for field in fields}


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def is_the_deployments(place: str, mounted: Mapping[str, str]) -> bool:
    """Whether a place is the container's own or a volume, and no folder of the host."""
    return place not in mounted or _VOLUME.search(mounted[place]) is not None


def hand_over(place: str, old: Collection[Ids], new: Ids, mounted: Collection[str]) -> int:
    """Give `new` all below `place` that belongs to one of `old`, and `place` at last.

    Nothing that is mounted below is entered, be it on the same disk or not, and no link is
    followed. Interrupted, it begins anew at the next start. Gives how many entries changed.
    """
    users, groups = {ids.user for ids in old}, {ids.group for ids in old}
    count = 0
    for folder, folders, files, descriptor in os.fwalk(place):
        folders[:] = [name for name in folders if f"{folder}/{name}" not in mounted]
        for name in [*folders, *(name for name in files if f"{folder}/{name}" not in mounted)]:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            user = new.user if found.st_uid in users else found.st_uid
            group = new.group if found.st_gid in groups else found.st_gid
            if (user, group) != (found.st_uid, found.st_gid):
                os.chown(name, user, group, dir_fd=descriptor, follow_symlinks=False)
                count += 1
    os.chown(place, new.user, new.group)
    return count + 1


def made_for_mounts(place: str, mounted: Collection[str]) -> Iterator[str]:
    """Give the folders below `place` that lie above a mount, and not in another one."""
    for target in map(PurePosixPath, mounted):
        if PurePosixPath(place) not in target.parents:
            continue
        current = PurePosixPath(place)
        for part in target.relative_to(place).parts:
            current /= part
            if str(current) in mounted:
                break
            yield str(current)


def _give_way_to_mounts(mounted: Collection[str], new: Ids) -> None:
    """Give the agent the folders that Docker made, as root, above what is mounted."""
    for place in PLACES:
        for folder in made_for_mounts(place, mounted):
            found = os.lstat(folder)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == 0:
                os.chown(folder, new.user, new.group, follow_symlinks=False)


def settle(new: Ids) -> None:
    """Give the agent its ids, and all that it had under others."""
    rename(ETC, new)
    mounted = mount_points(MOUNTS.read_text(errors="surrogateescape"))
    before = _history()
    now = {place: _owner(place) for place in PLACES}
    others = {place: owner for place, owner in now.items() if is_anothers(owner, before, new)}
    if others:
        count = _settle_places(others, before, new, mounted)
        if {*others.values()} - {Ids(0, 0)}:
            _say(f"the agent is {new} from now on: {count} files and folders were given to it")
    _give_way_to_mounts(mounted, new)


def is_anothers(owner: Ids, before: Collection[Ids], new: Ids) -> bool:
    """Whether a place is to be handed over; a group that the agent never had is people's choice."""
    groups = {ids.group for ids in (OWN, *before)} - {new.group}
    return owner.user != new.user or owner.group in groups


def _settle_places(
    others: Mapping[str, Ids], before: set[Ids], new: Ids, mounted: Mapping[str, str]
) -> int:
    places = [place for place in others if is_the_deployments(place, mounted)]
    # In a folder of the host, the agent is given the folder alone.
    for place in others.keys() - {*places}:
        os.chown(place, new.user, new.group)
    old = {OWN, *before, *(others[place] for place in places)} - {new}
    _remember({new, *before})
    # What is root's was made by hand, and not by the agent.
    old = {ids for ids in old if ids.user and ids.group}
    count = sum(hand_over(place, old, new, mounted) for place in places)
    _remember({new})
    return count + len(others) - len(places)


def _owner(place: str) -> Ids:
    found = Path(place).stat()
    return Ids(found.st_uid, found.st_gid)


def _history() -> set[Ids]:
    lines = saved.read(HISTORY) if HISTORY.exists() else []
    return {Ids(*map(int, line.split(":"))) for line in lines if re.fullmatch(r"\d+:\d+", line)}


def _remember(ids: Collection[Ids]) -> None:
    saved.replace(HISTORY, sorted(map(str, ids)), mode=0o600)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> int:
    """Do it; gives the exit code."""
    try:
        settle(wanted(os.environ))
    except (RefusedError, OSError) as error:
        _say(f"the agent cannot get its ids: {error}")
        return 1
    return 0
