"""Pulumi: its engine, the packages of the program, the state and what opens its secrets."""

from collections.abc import Iterator
from dataclasses import dataclass

from opencode_cloud.ops.doctor_checks.finding import Finding, ok, problem, skipped, warning

_OURS_ALONE = 0o077


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A lock that some Pulumi has, or had, on the stack."""

    process: int
    alive: bool


@dataclass(frozen=True, kw_only=True)
class Packages:
    """What the program's Python environment lacks."""

    folder: str
    there: bool
    wrong: tuple[str, ...] = ()
    """As `name 1.0 (wanted 2.0)`."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Where the stack's state is, and how it is."""

    backend: str
    own: bool
    """Whether it is in our own folder; others cannot be looked into."""
    stack_is_there: bool = False
    readable: str = ""
    """Why the state cannot be read; empty when it can, or is not there."""
    pending: tuple[str, ...] = ()
    """Operations that were begun, and not seen to end."""
    locks: tuple[Lock, ...] = ()
    changing: str = ""
    """Which of our own commands changes the stack now."""


@dataclass(frozen=True, kw_only=True)
class Passphrase:
    """What opens the stack's secrets."""

    path: str
    there: bool
    needed: bool = True
    """Whether anything was encrypted."""
    own: bool = True
    """Whether it is our generated file; else the environment has it."""
    mode: int = 0o600
    opens: bool | None = None
    """Whether it is the one that the stack's secrets need; None: there is nothing to tell by."""
    salts_agree: bool = True
    """Whether the stack's file and its state have the same salt."""


def engine(label: str, reason: str, start: str) -> Finding:
    """Judge the engine; `label` is empty where there is none."""
    if label:
        return ok("pulumi.engine", label)
    return problem(
        "pulumi.engine",
        f"there is no Pulumi engine with all its plugins ({reason})",
        "Settings cannot be applied. What runs, runs on.",
        start,
    )


def packages(found: Packages, mend: str) -> Finding:
    """Judge the program's Python environment."""
    why = "Settings cannot be applied. What runs, runs on."
    if not found.there:
        return problem("pulumi.packages", f"there is no {found.folder}", why, mend)
    if found.wrong:
        few = ", ".join(found.wrong[:3]) + (", …" if len(found.wrong) > 3 else "")  # noqa: PLR2004 - enough to see
        return problem("pulumi.packages", f"{found.folder} is not what is locked: {few}", why, mend)
    return ok("pulumi.packages", f"as locked, in {found.folder}")


def state(found: State, stack: str, start: str) -> Iterator[Finding]:
    """Judge the state."""
    if not found.own:
        yield skipped("pulumi.state", f"state in {found.backend}", "it is not kept by us")
    elif found.readable:
        yield problem(
            "pulumi.state",
            f"the state of {stack} cannot be read: {found.readable}",
            "Settings cannot be applied. What runs, runs on.",
            f"pulumi stack export -s {stack} shows it; copies are in .pulumi/backups below "
            f"{found.backend.removeprefix('file://')}",
        )
    elif not found.stack_is_there:
        yield warning(
            "pulumi.state",
            f"there is no stack {stack} in {found.backend.removeprefix('file://')}",
            "What this user applies, begins anew. Perhaps another user made the deployment.",
            start,
        )
    else:
        yield ok("pulumi.state", f"{stack} in {found.backend.removeprefix('file://')}")
    yield from _unfinished(found, stack)


def _unfinished(found: State, stack: str) -> Iterator[Finding]:
    if found.pending:
        yield problem(
            "pulumi.pending",
            f"begun and not seen to end: {', '.join(found.pending)}",
            "Pulumi was killed meanwhile, and does not know whether that is there.",
            f"pulumi refresh -s {stack} --clear-pending-creates",
        )
    alive = [lock for lock in found.locks if lock.alive]
    if found.changing or alive:
        who = found.changing or f"pulumi (process {alive[0].process})"
        yield ok("pulumi.lock", f"in use by {who}")
    elif found.locks:
        yield problem(
            "pulumi.lock",
            f"locked by process {found.locks[0].process}, which is gone",
            "Pulumi was killed, and refuses to work on the stack.",
            f"pulumi cancel -s {stack}",
        )
    elif found.own:
        yield ok("pulumi.lock", "nobody changes the stack")


def passphrase(found: Passphrase) -> Iterator[Finding]:
    """Judge what opens the secrets."""
    name = "pulumi.passphrase"
    if not found.there and not found.needed:
        yield skipped(name, found.path, "it is made with the first stack")
        return
    if not found.there:
        yield problem(
            name,
            f"{found.path} is missing",
            "Secrets of the stack cannot be read, nor settings applied.",
            "put the file back from a backup",
        )
        return
    if found.own and found.mode & _OURS_ALONE:
        yield problem(
            name,
            f"{found.path} can be read by others (mode {found.mode:o})",
            "Whoever has it, and the state, has every secret of the stack.",
            f"chmod 600 {found.path}",
        )
    if found.opens is False:
        yield problem(
            name,
            f"{found.path} is not what the stack's secrets were encrypted with",
            "Secrets of the stack cannot be read, nor settings applied.",
            "put the file of that time back, or remove the secrets and set them again",
        )
    elif not found.salts_agree:
        yield warning(
            name,
            "the stack's file and its state were encrypted apart",
            "The file was put back from another time or machine.",
            "put back the file that belongs to this state",
        )
    elif not (found.own and found.mode & _OURS_ALONE):
        matches = "" if found.opens is None else ", opens the stack"
        yield ok(name, f"{found.path}{matches}")
