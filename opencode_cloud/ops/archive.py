"""What is in a backup's archive, and whether all of it is there as it was written.

docker/backup writes it: a tar stream whose first member says what it is, and whose last one has
a row of facts and a hash for every member before it.
"""

import hashlib
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from opencode_cloud.ops.errors import OperationError

FORMAT = 1
"""The newest format that is understood here."""
HEAD, MANIFEST = "backup.json", "manifest.jsonl"
_BLOCK = 1 << 18
_HEAD_BYTES = 1 << 16
_SHOWN = 5
_FACTS = ("name", "kind", "mode", "owner", "group", "time", "target", "size", "content")
"""What a row of the manifest says, in its order."""


class Source(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes; nothing at the end."""
        ...


class Sink(Protocol):
    """Where an archive goes."""

    def write(self, piece: bytes, /) -> object:
        """Take the next bytes, all of them."""
        ...


class ArchiveError(OperationError):
    """It is no whole, sound archive of ours."""


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself, and how much is in it."""

    stack: str
    created: str
    """UTC, as ISO 8601 writes it."""
    version: str
    """Of opencode-cloud."""
    opencode: str
    """Version of opencode."""
    volumes: tuple[str, ...]
    files: int
    """How many members its volumes have; folders and links are some."""
    size: int
    """Bytes of the archive, unencrypted."""
    notes: tuple[str, ...]
    """What was remarkable when it was made."""


class _Passing:
    """Reads, and passes on all that was read."""

    def __init__(
        self, source: Source, sink: Sink | None, progress: Callable[[int], None] | None
    ) -> None:
        self._source = source
        self._sink = sink
        self._progress = progress
        self.count = 0

    def read(self, size: int) -> bytes:
        piece = self._source.read(size)
        self.count += len(piece)
        if self._sink and piece:
            self._sink.write(piece)
        if self._progress:
            self._progress(self.count)
        return piece


def check(
    source: Source,
    sink: Sink | None = None,
    *,
    progress: Callable[[int], None] | None = None,
    on_head: Callable[[dict[str, Any]], None] | None = None,
) -> Manifest:
    """Read a whole archive and compare it with its manifest; gives what it says of itself.

    Args:
        source: the archive, unencrypted.
        sink: gets every byte of it, before it is known whether it is sound.
        progress: gets how many bytes were read.
        on_head: gets what the archive says of itself, as soon as that is known.

    Raises:
        ArchiveError: it is damaged, cut off, too new or no archive of ours.
    """
    passing = _Passing(source, sink, progress)
    try:
        with tarfile.open(  # pyright: ignore[reportCallIssue]
            fileobj=passing,  # pyright: ignore[reportArgumentType] - it only reads
            mode="r|",
            bufsize=_BLOCK,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            head, rows, notes = _read(archive, on_head)
        while passing.read(_BLOCK):
            pass
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise ArchiveError(
            f"it is damaged, was cut off, or is no backup of ours ({error})"
        ) from None
    return Manifest(
        stack=head["stack"],
        created=head["created"],
        version=head.get("version", ""),
        opencode=head.get("opencode", ""),
        volumes=tuple(head["volumes"]),
        files=rows - 1,
        size=passing.count,
        notes=notes,
    )


def _read(
    archive: tarfile.TarFile, on_head: Callable[[dict[str, Any]], None] | None
) -> tuple[dict[str, Any], int, tuple[str, ...]]:
    head: dict[str, Any] = {}
    rows: list[bytes] = []
    while (info := archive.next()) is not None:
        # tarfile remembers every member, for seeking.
        archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
        if info.name == MANIFEST and rows:
            return head, len(rows), _compare(archive, info, rows)
        if not rows:
            text, head = _read_head(archive, info)
            rows.append(_row(info, text))
            if on_head:
                on_head(head)
            continue
        rows.append(_row(info, _digest(archive, info)))
    if not rows:
        raise ArchiveError("it is empty")
    last = json.loads(rows[-1])[0]
    raise ArchiveError(f"it is damaged or was cut off: nothing can be read after {_shown(last)}")


def _read_head(archive: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[str, dict[str, Any]]:
    """Give the first member's digest, and what it says."""
    content = archive.extractfile(info) if info.isreg() else None
    if info.name != HEAD or content is None or info.size > _HEAD_BYTES:
        raise ArchiveError(f"it is no backup of ours: it begins with {_shown(info.name)}")
    text = content.read()
    try:
        head = json.loads(text)
        number = int(head["format"])
    except (ValueError, KeyError, TypeError):
        raise ArchiveError(f"its {HEAD} is damaged") from None
    if number > FORMAT:
        raise ArchiveError(
            f"it is of format {number}, made by a newer opencode-cloud "
            f"({head.get('version', 'unknown')}); this one understands {FORMAT}. Use that version "
            "or a later one"
        )
    missing = [name for name in ("stack", "created", "volumes") if name not in head]
    if missing:
        raise ArchiveError(f"its {HEAD} does not say {', '.join(missing)}")
    return hashlib.sha256(text).hexdigest(), head


def _digest(archive: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    content = archive.extractfile(info) if info.isreg() else None
    while content and (piece := content.read(_BLOCK)):
        digest.update(piece)
    return digest.hexdigest()


def _row(info: tarfile.TarInfo, digest: str) -> bytes:
    facts = [info.name, info.type.decode(), info.mode, info.uid, info.gid, float(info.mtime)]
    return json.dumps([*facts, info.linkname, info.size, digest], separators=(",", ":")).encode()


def _compare(archive: tarfile.TarFile, info: tarfile.TarInfo, rows: list[bytes]) -> tuple[str, ...]:
    """Compare what was read with what was written; gives the manifest's notes."""
    content = archive.extractfile(info)
    lines = content.read().splitlines() if content else []
    wrong = [
        _difference(found, said)
        for found, said in zip(rows, lines[:-1], strict=False)
        if found != said
    ]
    try:
        notes = tuple(json.loads(lines[-1])["notes"])
    except (ValueError, KeyError, TypeError, IndexError):
        raise ArchiveError(f"its {MANIFEST} is damaged or was cut off") from None
    if len(rows) != len(lines) - 1:
        wrong.append(f"it has {len(rows)} members, and should have {len(lines) - 1}")
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ArchiveError(f"it is damaged: {'; '.join(wrong[:_SHOWN])}{more}")
    return notes


def _difference(found: bytes, said: bytes) -> str:
    try:
        facts, wanted = json.loads(found), json.loads(said)
        differing = [
            name for name, one, other in zip(_FACTS, facts, wanted, strict=True) if one != other
        ]
    except (ValueError, TypeError):
        return f"the manifest's row for {_shown(json.loads(found)[0])}"
    return f"{_shown(wanted[0])} (its {', '.join(differing)})"


def _shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
