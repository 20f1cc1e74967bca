"""The accounts on their volume: lines of passwd, shadow and group.

A container's /etc is as short-lived as the container, so each start puts them back. The three
files are replaced one by one, and an account is restored only when all three name it: a crash
between them undoes the change that was under way and harms no other account.
"""

import os
from pathlib import Path

from accounts import GROUP

IDS = range(2000, 60000)
"""The ids of accounts; those below belong to the image, those above to Debian."""
FILES = {"group": 0o644, "shadow": 0o640, "passwd": 0o644}
"""The files in /etc and their modes, in the order in which they are saved."""
MEMBERSHIPS = (GROUP, "opencode")
"""The groups that every account is a member of."""


def save(etc: Path, volume: Path) -> None:
    """Write the lines of every account in `etc` to `volume`."""
    names = account_names(etc)
    for file in FILES:
        replace(volume / file, _lines(etc / file, names), mode=0o600)


def restore(etc: Path, volume: Path) -> tuple[set[str], set[str]]:
    """Make the accounts in `etc` those of `volume`.

    Gives their names, and those that cannot be restored because the image now has a system
    account or group of that name.
    """
    if not (volume / "passwd").exists():
        return set(), set()
    old = account_names(etc)
    system = {name for file in FILES for name in all_names(etc / file)} - old
    complete = set.intersection(
        account_names(volume), *(all_names(volume / file) for file in FILES)
    )
    names, taken = complete - system, complete & system
    for file, mode in FILES.items():
        kept = [line for line in read(etc / file) if line.partition(":")[0] not in old]
        if file == "group":
            kept = [_with_members(line, names, old) for line in kept]
        replace(etc / file, kept + _lines(volume / file, names), mode, owner=etc / file)
    return names, taken


def account_names(folder: Path) -> set[str]:
    """The names in the passwd file of `folder` that have an account's id."""
    entries = [line.split(":") for line in read(folder / "passwd")]
    return {entry[0] for entry in entries if entry[2].isdecimal() and int(entry[2]) in IDS}


def all_names(file: Path) -> set[str]:
    """The names in one file."""
    return {line.partition(":")[0] for line in read(file)}


def _with_members(line: str, names: set[str], old: set[str]) -> str:
    """A line of group with the accounts as members, where accounts are members."""
    group, password, gid, members = line.split(":")
    if group not in MEMBERSHIPS:
        return line
    others = [member for member in members.split(",") if member and member not in old]
    return ":".join([group, password, gid, ",".join(others + sorted(names))])


def _lines(file: Path, names: set[str]) -> list[str]:
    return [line for line in read(file) if line.partition(":")[0] in names]


def read(file: Path) -> list[str]:
    """The lines of one file."""
    return file.read_text(encoding="utf-8").splitlines()


def replace(file: Path, lines: list[str], mode: int, owner: Path | None = None) -> None:
    """Replace `file` as a whole or not at all; it belongs to whom `owner` belongs, else to us."""
    new = file.with_name(f".{file.name}.new")
    with open(new, "w", encoding="utf-8", opener=_open_privately) as stream:
        if owner:
            os.fchown(stream.fileno(), owner.stat().st_uid, owner.stat().st_gid)
        os.fchmod(stream.fileno(), mode)
        stream.writelines(f"{line}\n" for line in lines)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
