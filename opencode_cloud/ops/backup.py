"""Backups of a deployment's volumes, and restoring them."""

import json
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opencode_cloud import __version__
from opencode_cloud.ops import lifecycle
from opencode_cloud.ops.age import SUFFIX, Decrypting, Encrypting
from opencode_cloud.ops.archive import ArchiveError, Manifest, Sink, Source, check
from opencode_cloud.ops.deployment import find
from opencode_cloud.ops.errors import NoDeploymentError, OperationError
from opencode_cloud.ops.places import Folder, Place, file_of
from opencode_cloud.ops.volume_helper import (
    Helper,
    Target,
    existing_volumes,
    helper,
    make_volumes,
    target_of,
    users_of,
)
from opencode_cloud.spec.volumes import Volume
from opencode_cloud.start.plan import Report

__all__ = ["Backup", "Target", "create", "list_", "restore", "restore_volumes", "target_of"]

Progress = Report
_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<stack>[a-z0-9][a-z0-9_-]*)-(?P<time>\d{8}T\d{6}Z)\.tar(?P<age>\.age)?")
_MEGABYTE = 1_000_000
_ENDS_WITHIN_SECONDS = 600


@dataclass(frozen=True)
class Backup:
    """One archive in a place for backups, as its name tells it."""

    name: str
    where: str
    """Its path or URL."""
    stack: str
    created: datetime
    size: int
    """Bytes."""
    encrypted: bool
    notes: tuple[str, ...] = ()
    """What was remarkable, when it was just made."""


def create(
    target: Target,
    destination: Path | Place,
    *,
    recipients: Sequence[str] = (),
    progress: Progress,
    with_cache: bool = False,
    without: Collection[Volume] = (),
) -> Backup:
    """Make a backup of the stack's volumes, whether the deployment runs or not.

    What is written is checked on the way; until all of it is there, nothing has its name.

    Args:
        target: the stack.
        destination: the folder.
        recipients: public keys to encrypt to; none: not encrypted.
        progress: gets what is done.
        with_cache: also what can be downloaded again.
        without: volumes that are left out besides.

    Raises:
        OperationError: it cannot be made; nothing is left of it.
    """
    place: Place = Folder(destination) if isinstance(destination, Path) else destination
    left_out = {*without, *(() if with_cache else (Volume.CACHE,))}
    volumes = [volume for volume in existing_volumes(target) if volume not in left_out]
    if Volume.USERS not in volumes:
        raise OperationError(
            f"There are no data of a deployment {target.stack!r} on this Docker host: no volume "
            f"{target.volume(Volume.USERS)}."
        )
    now = datetime.now(UTC).replace(microsecond=0)
    name = f"{target.stack}-{now.strftime(_TIME)}.tar{SUFFIX if recipients else ''}"
    about = {"stack": target.stack, "created": now.isoformat(), "version": __version__}
    about["opencode"] = _opencode_version(target)
    with _said_of("The backup was not made"), ExitStack() as stack:
        counting = _Counting(stack.enter_context(place.writing(name)))
        into: Sink = counting
        if recipients:
            into = stack.enter_context(Encrypting(counting, recipients))
        made = stack.enter_context(
            helper(target, "create", [json.dumps(about)], volumes, note=progress.note)
        )
        pieces = made.output()
        try:
            manifest = check(_Pieces(pieces), into, progress=_bytes(progress, "backing up"))
        except ArchiveError:
            # It ended early; why, it has said, or is about to.
            for _ in pieces:
                pass
            made.require_done()
            raise
        made.require_done()
    return Backup(
        name=name,
        where=place.where(name),
        stack=target.stack,
        created=now,
        size=counting.count,
        encrypted=bool(recipients),
        notes=manifest.notes,
    )


def verify(
    path: Path | str, identity: Path | None = None, progress: Progress | None = None
) -> Manifest:
    """Read a whole backup, and compare all that is in it with what was written.

    Raises:
        OperationError: it cannot be read, or is not as it was written; says where.
    """
    with _archive(path, identity) as source:
        try:
            return check(source, progress=_bytes(progress, "reading") if progress else None)
        except ArchiveError as error:
            raise ArchiveError(f"{path} is no sound backup: {error}.") from None


def list_(folder: Path | Place) -> list[Backup]:
    """Give the backups in a place, the oldest first; what is not all there is none."""
    place: Place = Folder(folder) if isinstance(folder, Path) else folder
    found = [_named(place, name, size) for name, size in place.sizes().items()]
    return sorted(
        (backup for backup in found if backup), key=lambda backup: (backup.created, backup.name)
    )


def _named(place: Place, name: str, size: int) -> Backup | None:
    parts = _NAME.fullmatch(name)
    if not parts:
        return None
    try:
        created = datetime.strptime(parts["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Backup(name, place.where(name), parts["stack"], created, size, bool(parts["age"]))


def prune(folder: Path | Place, stack: str, keep: int) -> list[Backup]:
    """Remove all but the newest backups of a stack from a place; gives those removed."""
    place: Place = Folder(folder) if isinstance(folder, Path) else folder
    mine = [backup for backup in list_(place) if backup.stack == stack]
    removed = mine[: max(0, len(mine) - keep)]
    for backup in removed:
        place.remove(backup.name)
    return removed


def restore(
    target: Target,
    path: Path | str,
    *,
    identity: Path | None = None,
    progress: Progress,
    confirm: Callable[[Manifest], None] = lambda _: None,
) -> bool:
    """Put a backup in the place of the stack's data; gives whether the deployment runs again.

    All of it is checked before anything is touched. A deployment that runs is stopped for it, and
    started again on the new data, or on the old if it failed.

    Args:
        target: the stack.
        path: the backup.
        identity: what opens it, if it is encrypted.
        progress: gets what is done.
        confirm: gets what the backup says of itself, and raises where that is not wanted.

    Raises:
        OperationError: it was not done; the data are as they were.
    """
    confirm(verify(path, identity, progress))
    try:
        deployment = find(target.stack, target.engine)
    except NoDeploymentError:
        restore_volumes(target, path, identity=identity, progress=progress)
        return False
    ran = lifecycle.stop(deployment, progress.progress)
    try:
        restore_volumes(target, path, identity=identity, progress=progress)
    finally:
        if ran:
            progress.progress("starting")
            lifecycle.start(deployment.again(), progress.progress)
    return ran


def restore_volumes(
    target: Target,
    path: Path | str,
    *,
    identity: Path | None = None,
    only: Collection[Volume] = tuple(Volume),
    progress: Progress,
) -> None:
    """Put a backup in the place of the data of a deployment that does not run.

    It is checked once more on its way: only when all of it has arrived and is sound, the data
    are exchanged, those of all volumes or of none. Who is signed in stays signed in.

    Args:
        target: the stack.
        path: the backup.
        identity: what opens it, if it is encrypted.
        only: the volumes to exchange, of those that are in it.
        progress: gets what is done.

    Raises:
        OperationError: it was not done; the data are as they were.
    """
    if running := users_of(target):
        raise OperationError(
            f"The data are in use by the container {running[0]}. Stop it first: "
            f"docker stop {running[0]}"
        )
    make_volumes(target)
    with _said_of("Nothing was restored"), ExitStack() as stack:
        source = stack.enter_context(_archive(path, identity))
        at_work = stack.enter_context(
            helper(
                target,
                "restore",
                [],
                list(Volume),
                note=progress.note,
                progress=progress.progress,
            )
        )
        _send(source, at_work, only, _bytes(progress, "restoring"))


def repair(target: Target, progress: Progress) -> None:
    """Finish or undo a restore that was cut off; the container's start does the same.

    Raises:
        OperationError: it cannot be done.
    """
    with helper(target, "repair", [], existing_volumes(target), note=progress.note) as at_work:
        at_work.end_of_input()
        for _ in at_work.output():
            pass
        at_work.require_done()


def _send(
    source: Source, at_work: Helper, only: Collection[Volume], progress: Callable[[int], None]
) -> None:
    """Send an archive; the word to put it in place comes last, when it was found sound."""
    listening = at_work.listening()
    sending = _Sending(at_work, only)
    try:
        check(source, sending, progress=progress, on_head=sending.head)
        sending.go_ahead()
    except (BrokenPipeError, ConnectionResetError):
        # It has ended; why, it has said.
        pass
    finally:
        # Without that word, it now puts all away again. Whoever interrupts waits for that.
        at_work.end_of_input()
        _wait(listening)
    at_work.require_done()


def _wait(listening: threading.Thread) -> None:
    deadline = time.monotonic() + _ENDS_WITHIN_SECONDS
    while listening.is_alive() and time.monotonic() < deadline:
        with suppress(KeyboardInterrupt):
            listening.join(1)


class _Sending:
    """Writes frames: a length, and as many bytes. Before them, a line with the archive's head."""

    def __init__(self, to: Helper, only: Collection[Volume]) -> None:
        self._to = to
        self._only = only
        self._waiting: list[bytes] | None = []

    def head(self, head: dict[str, Any]) -> None:
        """Send the head, and what was read to find it."""
        said = {"volumes": head["volumes"], "only": sorted(self._only)}
        self._to.send(json.dumps(said).encode() + b"\n")
        waiting, self._waiting = self._waiting or [], None
        for piece in waiting:
            self.write(piece)

    def write(self, piece: bytes) -> None:
        """Send some of the archive."""
        if self._waiting is not None:
            self._waiting.append(piece)
        else:
            self._to.send(len(piece).to_bytes(4, "big") + piece)

    def go_ahead(self) -> None:
        """Say that all was sent, and is sound."""
        self._to.send((0).to_bytes(4, "big"))


class _Counting:
    """A file that counts what is written to it."""

    def __init__(self, file: Sink) -> None:
        self._file = file
        self.count = 0

    def write(self, piece: bytes) -> int:
        self._file.write(piece)
        self.count += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back here."""


class _Pieces:
    """Pieces as a file to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _: int) -> bytes:
        return next(self._pieces, b"")


@contextmanager
def _archive(path: Path | str, identity: Path | None) -> Iterator[Source]:
    """Open a backup, wherever it is, and decrypt it if it is encrypted."""
    place, name = file_of(str(path))
    encrypted = name.endswith(SUFFIX)
    if encrypted and identity is None:
        raise OperationError(
            f"{name} is encrypted. Say where the secret key is that opens it: --identity FILE"
        )
    with ExitStack() as stack:
        source: Source = stack.enter_context(place.reading(name))
        if encrypted and identity:
            source = stack.enter_context(Decrypting(source, identity))
        yield source


def _opencode_version(target: Target) -> str:
    labels = target.engine.get(f"/images/{target.image}/json")["Config"]["Labels"] or {}
    return labels.get("org.opencode-cloud.opencode-version", "")


def _bytes(progress: Progress, what: str) -> Callable[[int], None]:
    shown = -1

    def show(count: int) -> None:
        nonlocal shown
        if count // _MEGABYTE != shown:
            shown = count // _MEGABYTE
            progress.progress(f"{what}: {shown} MB")

    return show


@contextmanager
def _said_of(what: str) -> Iterator[None]:
    try:
        yield
    except OperationError as error:
        raise OperationError(f"{what}: {error}") from None
