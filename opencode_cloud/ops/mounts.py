"""Folders of this machine that are to be mounted: whether they can be, and what that gives away.

Text alone is judged by `opencode_cloud.spec.mounts`; here the machine is looked at.
"""

import difflib
import os
import shlex
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.mount_dangers import Surroundings, danger
from opencode_cloud.settings import Problem, Settings, SettingsError
from opencode_cloud.spec.mounts import BindMount, MountError, parse_mounts

KEY = "mounts"
AGENTS_ID = 1000
"""User and group id of the agent, unless `puid` and `pgid` say another."""


@dataclass(frozen=True)
class Danger:
    """A folder that gives away more than files to work on."""

    mount: BindMount
    why: str

    def __str__(self) -> str:
        can = "read and change it" if self.mount.writable else "read it"
        return f"{self.mount.source} {self.why}: the agent could {can}"


@dataclass(frozen=True)
class Looked:
    """What looking at the folders has shown."""

    mounts: tuple[BindMount, ...]
    """With their real paths."""
    problems: tuple[Problem, ...]
    """What keeps them from being mounted."""
    dangers: tuple[Danger, ...]


def look(mounts: Sequence[BindMount], surroundings: Surroundings) -> Looked:
    """Look at every folder on this machine; changes nothing."""
    real = tuple(_real(mount) for mount in mounts)
    pairs = list(zip(mounts, real, strict=True))
    refused = ((given, _refusal(given, found, surroundings)) for given, found in pairs)
    problems = [_problem(given, *said) for given, said in refused if said]
    problems += [_problem(mount, *said) for mount, said in _lost(real)]
    dangers = (Danger(found, danger(found, surroundings)) for found in real)
    return Looked(real, tuple(problems), tuple(each for each in dangers if each.why))


def agents_ids(settings: Settings) -> tuple[int, int]:
    """Give the agent's user and group ids."""
    return settings.puid or AGENTS_ID, settings.pgid or AGENTS_ID


def unusable_by_agent(mount: BindMount, settings: Settings, stack: str) -> str:
    """Say which settings the agent needs to work in a folder; empty when it can as it is.

    On a Mac, Docker's own machine makes every owner look right.
    """
    if sys.platform != "linux":
        return ""
    found = Path(mount.source).stat()
    user, group = agents_ids(settings)
    bits = stat.S_IMODE(found.st_mode)
    bits >>= 6 if found.st_uid == user else 3 if found.st_gid == group else 0
    needed, verb = (0o7, "write in") if mount.writable else (0o5, "read")
    if bits & needed == needed:
        return ""
    said = f"The agent (user {user}, group {group}) cannot {verb} {mount.source}, which belongs to "
    if not found.st_uid:
        return f"{said}root: give it to another user, or let others {verb} it."
    return (
        f"{said}user {found.st_uid}, group {found.st_gid}. To work as that one: "
        f"{occ(stack, 'config set puid', str(found.st_uid))} and "
        f"{occ(stack, 'config set pgid', str(found.st_gid))}"
    )


def _real(mount: BindMount) -> BindMount:
    return replace(mount, source=os.path.realpath(mount.source))


def _refusal(given: BindMount, found: BindMount, around: Surroundings) -> tuple[str, str] | None:
    """Say why a folder cannot be mounted, and what to do."""
    source = Path(found.source)
    link = "" if given.source == found.source else f" (it is a link to {source})"
    remove = occ(around.stack, "mount remove", shlex.quote(given.target))
    if said := _not_a_folder(source, remove):
        why, fix = said
        return f"{why}{link}", fix
    if ":" in found.source or "," in found.source or not found.source.isprintable():
        return f"has a name that no mount may have{link}", "rename it, without : and ,"
    if any(socket.is_relative_to(source) for socket in around.sockets):
        return (
            f"holds a container engine's socket{link}, which makes its user root on this machine",
            f"mount the folder in it that is meant; to do without: {remove}",
        )
    return None


def _not_a_folder(source: Path, remove: str) -> tuple[str, str] | None:
    try:
        mode = source.stat().st_mode
    except FileNotFoundError:
        return "does not exist", f"make it (mkdir -p {shlex.quote(str(source))}), or: {remove}"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})", f"see to that, or: {remove}"
    if not stat.S_ISDIR(mode):
        return "is not a folder", f"mount the folder that it is in: {source.parent}"
    if not os.access(source, os.R_OK | os.X_OK):
        return "may not be read by you", f"have its owner let you, or: {remove}"
    return None


def _lost(mounts: Sequence[BindMount]) -> Iterator[tuple[BindMount, tuple[str, str]]]:
    """Find mounts inside others, for which Docker would make folders on this machine, as root."""
    for inner in mounts:
        for outer in mounts:
            if outer == inner or not Path(inner.target).is_relative_to(outer.target):
                continue
            place = Path(outer.source) / Path(inner.target).relative_to(outer.target)
            if not place.is_dir():
                why = f"is to be mounted inside {outer}, where there is no folder for it"
                yield inner, (why, f"make it: mkdir -p {shlex.quote(str(place))}")


def _problem(mount: BindMount, why: str, fix: str) -> Problem:
    return Problem(KEY, str(mount), why, fix)


# --- the setting ------------------------------------------------------------


def read(stack: str, *texts: str) -> tuple[BindMount, ...]:
    """Read mounts as people write them.

    Raises:
        SettingsError: with everyone that cannot be one.
    """
    found: list[BindMount] = []
    problems: list[Problem] = []
    for text in texts:
        try:
            found += parse_mounts(text)
        except MountError as error:
            problems.append(Problem(KEY, text, error.why, error.fix))
    if problems:
        raise SettingsError(stack, problems)
    return tuple(found)


def added(stack: str, there: Sequence[BindMount], new: Sequence[BindMount]) -> list[BindMount]:
    """Give all mounts; the same folder at the same place again takes the new one's mode.

    Raises:
        SettingsError: another folder is at one of the places.
    """
    places = {mount.target: mount for mount in there}
    problems: list[Problem] = []
    for mount in new:
        old = places.setdefault(mount.target, mount)
        if old.source != mount.source:
            why = f"has the place of {old.source}"
            remove = occ(stack, "mount remove", shlex.quote(mount.target))
            fix = f"{remove}, or choose another place"
            problems.append(Problem(KEY, str(mount), why, fix))
        places[mount.target] = mount
    if problems:
        raise SettingsError(stack, problems)
    return list(places.values())


def removed(there: Sequence[BindMount], words: Sequence[str]) -> list[BindMount]:
    """Give the mounts without those that are named, by place or as they are written.

    Raises:
        OperationError: one is not there; says what is.
    """
    left = list(there)
    for word in words:
        gone = [mount for mount in left if _is_named(mount, word)]
        if not gone:
            raise OperationError(_not_mounted(word, there))
        left = [mount for mount in left if mount not in gone]
    return left


def _is_named(mount: BindMount, word: str) -> bool:
    target = word.rstrip("/") or "/"
    return target == mount.target or word in (str(mount), f"{mount.source}:{mount.target}")


def _not_mounted(word: str, there: Sequence[BindMount]) -> str:
    if not there:
        return f"Nothing is mounted at {word!r}: the settings name no folder."
    targets = [mount.target for mount in there]
    close = difflib.get_close_matches(word, targets, n=1)
    what = f"Did you mean {close[0]}?" if close else f"There is {', '.join(targets)}."
    return f"Nothing is mounted at {word!r}. {what}"


# --- what is mounted --------------------------------------------------------

ACTIVE, STOPPED, WAITING, LEAVING, UNKNOWN = "active", "stopped", "waiting", "leaving", "unknown"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One folder, in the settings or in the container, and how it stands."""

    source: str
    """On this machine."""
    target: str
    """In the container."""
    writable: bool
    state: str
    """`active`; `stopped`: in a container that does not run; `waiting`: until the settings are
    applied; `leaving`: likewise, as they do not name it; `unknown`: Docker cannot be asked."""
    problem: str
    """Why it cannot be mounted as it is now; else empty."""


def standing(
    mounts: Sequence[BindMount], surroundings: Surroundings, facts: Mapping[str, Any] | None
) -> list[Standing]:
    """Compare the settings with the container; `facts` are `docker inspect`'s, empty for none.

    Without facts, Docker could not be asked.
    """
    looked = look(mounts, surroundings)
    problems = {problem.value: problem.why for problem in looked.problems}
    there = in_container(facts or {})
    runs = bool(facts) and facts["State"]["Running"]
    present = ACTIVE if runs else STOPPED
    absent = UNKNOWN if facts is None else WAITING
    found = [
        _standing(real, present if real in there else absent, problems.get(str(given), ""))
        for given, real in zip(mounts, looked.mounts, strict=True)
    ]
    return found + [_standing(each, LEAVING) for each in there if each not in looked.mounts]


def in_container(facts: Mapping[str, Any]) -> list[BindMount]:
    """Give the folders that a container has."""
    return [
        BindMount(mount["Source"], mount["Destination"], mount["RW"])
        for mount in facts.get("Mounts", [])
        if mount["Type"] == "bind"
    ]


def _standing(mount: BindMount, state: str, problem: str = "") -> Standing:
    return Standing(
        source=mount.source,
        target=mount.target,
        writable=mount.writable,
        state=state,
        problem=problem,
    )
