"""Folders that are to be mounted: whether they can be, and what that gives away.

Text alone is judged by `opencode_cloud.spec.mounts`; here the deployment's machine is looked at.
"""

import difflib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opencode_cloud.configuration import Problem, SettingsError
from opencode_cloud.ops.deployment import occ
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.folders import FOLDER, HIDDEN, MISSING, Seen
from opencode_cloud.ops.mount_dangers import HERE, Surroundings, danger
from opencode_cloud.settings import Settings
from opencode_cloud.spec.mounts import BindMount, MountError, parse_mounts

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost

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
    seen: tuple[Seen, ...] = ()
    """Each folder, in their order."""


def look_on(host: "DockerHost", root: Path, mounts: Sequence[BindMount]) -> Looked:
    """Look at every folder, on the machine that the deployment runs on; changes nothing.

    Args:
        host: that machine.
        root: the program's folder, on this one.
        mounts: the folders.

    Raises:
        OperationError: the machine cannot be reached.
    """
    places = (str(place) for _, _, place in _nested(mounts))
    sources = (mount.source for mount in mounts)
    return look(mounts, Surroundings.around(host, root, [*sources, *places]))


def look(mounts: Sequence[BindMount], surroundings: Surroundings) -> Looked:
    """Look at every folder; changes nothing."""
    seen = tuple(surroundings.see(mount.source) for mount in mounts)
    real = tuple(
        replace(mount, source=found.real) for mount, found in zip(mounts, seen, strict=True)
    )
    refused = (
        (given, _refusal(given, found, at, surroundings))
        for given, found, at in zip(mounts, real, seen, strict=True)
    )
    problems = [_problem(given, *said) for given, said in refused if said]
    problems += [_problem(mount, *said) for mount, said in _lost(mounts, surroundings)]
    dangers = (Danger(found, danger(found, surroundings)) for found in real)
    return Looked(real, tuple(problems), tuple(each for each in dangers if each.why), seen)


def agents_ids(settings: Settings) -> tuple[int, int]:
    """Give the agent's user and group ids."""
    return settings.puid or AGENTS_ID, settings.pgid or AGENTS_ID


def unusable_by_agent(mount: BindMount, found: Seen, settings: Settings, stack: str) -> str:
    """Say which settings the agent needs to work in a folder; empty when it can as it is."""
    user, group = agents_ids(settings)
    shift = 6 if found.user == user else 3 if found.group == group else 0
    needed, verb = (0o7, "write in") if mount.writable else (0o5, "read")
    if not found.owner_is_known or found.mode >> shift & needed == needed:
        return ""
    said = f"The agent (user {user}, group {group}) cannot {verb} {mount.source}, which belongs to "
    if not found.user:
        return f"{said}root: give it to another user, or let others {verb} it."
    return (
        f"{said}user {found.user}, group {found.group}. To work as that one: "
        f"{occ(stack, 'config set puid', str(found.user))} and "
        f"{occ(stack, 'config set pgid', str(found.group))}"
    )


def _refusal(
    given: BindMount, found: BindMount, seen: Seen, around: Surroundings
) -> tuple[str, str] | None:
    """Say why a folder cannot be mounted, and what to do."""
    source = Path(found.source)
    link = "" if given.source == found.source else f" (it is a link to {source})"
    remove = occ(around.stack, "mount remove", shlex.quote(given.target))
    if said := _not_a_folder(seen, around.where, remove):
        why, fix = said
        return f"{why}{link}", fix
    if ":" in found.source or "," in found.source or not found.source.isprintable():
        return f"has a name that no mount may have{link}", "rename it, without : and ,"
    if any(socket.is_relative_to(source) for socket in around.sockets):
        return (
            f"holds a container engine's socket{link}, which makes its user root on {around.where}",
            f"mount the folder in it that is meant; to do without: {remove}",
        )
    return None


def _not_a_folder(seen: Seen, where: str, remove: str) -> tuple[str, str] | None:
    there = "" if where == HERE else f" on {where}"
    if seen.kind == MISSING:
        make = f"mkdir -p {shlex.quote(seen.real)}"
        return f"does not exist{there}", f"make it{there} ({make}), or: {remove}"
    if seen.kind == HIDDEN:
        return f"cannot be looked at{there}", f"see to that, or: {remove}"
    if seen.kind != FOLDER:
        parent = Path(seen.real).parent
        return f"is not a folder{there}", f"mount the folder that it is in: {parent}"
    if not seen.may_read:
        return f"may not be read by you{there}", f"have its owner let you, or: {remove}"
    return None


def _nested(mounts: Sequence[BindMount]) -> Iterator[tuple[BindMount, BindMount, Path]]:
    """Find mounts inside others: inner, outer, and the folder that the inner one is laid over."""
    for inner in mounts:
        for outer in mounts:
            if outer != inner and Path(inner.target).is_relative_to(outer.target):
                place = Path(inner.target).relative_to(outer.target)
                yield inner, outer, Path(outer.source) / place


def _lost(
    mounts: Sequence[BindMount], around: Surroundings
) -> Iterator[tuple[BindMount, tuple[str, str]]]:
    """Find mounts inside others, for which Docker would make folders on the machine, as root."""
    for inner, outer, place in _nested(mounts):
        if around.see(str(place)).kind != FOLDER:
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
    """On the deployment's machine."""
    target: str
    """In the container."""
    writable: bool
    state: str
    """`active`; `stopped`: in a container that does not run; `waiting`: until the settings are
    applied; `leaving`: likewise, as they do not name it; `unknown`: Docker cannot be asked."""
    problem: str
    """Why it cannot be mounted as it is now; else empty."""


def standing(
    mounts: Sequence[BindMount], looked: Looked, facts: Mapping[str, Any] | None
) -> list[Standing]:
    """Compare the settings with the container; `facts` are `docker inspect`'s, empty for none.

    Without facts, Docker could not be asked.
    """
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
