"""Volumes into an archive."""

import hashlib
import io
import json
import os
import sqlite3
import stat
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from backup import FORMAT, HEAD, LOCKS, MANIFEST, PREFIX, STAYS, databases
from backup.tree import FOLDER, Found, walk

_BLOCK = 1 << 18


class Writer:
    """A tar stream that ends with a manifest of all that is in it."""

    def __init__(self, out: BinaryIO, scratch: Path) -> None:
        """`scratch` is a folder for what cannot be streamed."""
        self.scratch = scratch
        self._rows = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - `finish` ends it
        self._tar = tarfile.open(  # noqa: SIM115 - so does this: half an archive has no end
            fileobj=out,
            mode="w|",
            bufsize=_BLOCK,
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        )

    def add(self, info: tarfile.TarInfo, content: BinaryIO | None = None) -> None:
        """Write one member, whose `size` bytes are all there."""
        hashing = _Hashing(content or io.BytesIO())
        self._tar.addfile(info, hashing)  # pyright: ignore[reportArgumentType] - it only reads
        # tarfile remembers every member, for seeking.
        self._tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
        row = [info.name, info.type.decode(), info.mode, info.uid, info.gid, info.mtime]
        row += [info.linkname, info.size, hashing.hash.hexdigest()]
        self._rows.write(as_line(row))

    def add_text(self, name: str, text: bytes) -> None:
        """Write a member of our own."""
        self.add(_of_ours(name, len(text)), io.BytesIO(text))

    def finish(self, notes: list[str]) -> None:
        """Write the manifest and the end."""
        self._rows.write(as_line({"notes": notes}))
        size = self._rows.tell()
        self._rows.seek(0)
        self._tar.addfile(_of_ours(MANIFEST, size), self._rows)
        self._tar.close()


class _Hashing:
    """Reads a file and hashes what was read; a file that has shrunk ends with zeros."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self.hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        piece = self._content.read(size).ljust(size, b"\0")
        self.hash.update(piece)
        return piece


def as_line(value: Any) -> bytes:
    """Write one line of JSON, the same for the same value."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _of_ours(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, 0.0
    return info


@dataclass
class Volume:
    """One volume on its way into the archive."""

    name: str
    writer: Writer
    note: Callable[[str], None]
    """Gets what a person should know of a file."""
    _first: dict[tuple[int, int], str] = field(default_factory=dict)
    """Files of several names: what each is called in the archive, by device and inode."""
    _databases: set[tuple[str, ...]] = field(default_factory=set)
    """SQLite's, by their paths."""

    def write(self, top: Path) -> None:
        """Write the volume that is mounted at `top`."""
        descriptor = os.open(top, FOLDER)
        try:
            self.writer.add(self._info((), os.fstat(descriptor), tarfile.DIRTYPE))
            for found in walk(descriptor, STAYS.get(self.name, frozenset())):
                self._write(found)
        finally:
            os.close(descriptor)

    def _write(self, found: Found) -> None:
        locks = LOCKS.get(self.name)
        if locks and len(found.path) > len(locks) and found.path[: len(locks)] == locks:
            return
        if found.is_folder:
            self.writer.add(self._info(found.path, found.stat, tarfile.DIRTYPE))
        elif stat.S_ISLNK(found.stat.st_mode):
            self._write_link(found)
        elif stat.S_ISREG(found.stat.st_mode):
            self._write_file(found)
        # Sockets and pipes are their processes', and there are no devices.

    def _write_link(self, found: Found) -> None:
        info = self._info(found.path, found.stat, tarfile.SYMTYPE)
        try:
            info.linkname = os.readlink(found.name, dir_fd=found.folder)
        except OSError:
            return
        self.writer.add(info)

    def _write_file(self, found: Found) -> None:
        # A folder's names come in order: a database before what SQLite keeps beside it.
        if databases.is_companion(found.path, self._databases):
            return
        identity = found.stat.st_dev, found.stat.st_ino
        if found.stat.st_nlink > 1 and identity in self._first:
            info = self._info(found.path, found.stat, tarfile.LNKTYPE)
            info.linkname = self._first[identity]
            self.writer.add(info)
            return
        with ExitStack() as stack:
            try:
                opening = databases.opened(found.folder, found.name)
                descriptor = stack.enter_context(opening)
            except FileNotFoundError:
                return
            except OSError as error:
                # A link by now, say. The rest of the backup is worth having.
                self.note(f"{self._shown(found)} is left out: {error.strerror}")
                return
            self._write_content(found, descriptor)
        if found.stat.st_nlink > 1:
            self._first[identity] = self._name(found.path)

    def _write_content(self, found: Found, descriptor: int) -> None:
        now = os.fstat(descriptor)
        if os.pread(descriptor, len(databases.MAGIC), 0) == databases.MAGIC:
            self._databases.add(found.path)
            if self._write_database(found, now):
                return
        info = self._info(found.path, now, tarfile.REGTYPE)
        info.size = now.st_size
        # The archive gets as many bytes as its head says, whatever happens to the file.
        with open(descriptor, "rb", buffering=_BLOCK, closefd=False) as content:
            self.writer.add(info, content)

    def _write_database(self, found: Found, now: os.stat_result) -> bool:
        with tempfile.TemporaryDirectory(dir=self.writer.scratch) as folder:
            copied = Path(folder, "copy")
            try:
                databases.copy(found.folder, found.name, copied)
            except (sqlite3.Error, FileNotFoundError) as error:
                self.note(
                    f"{self._shown(found)} is copied as it lies, with what is beside it, because "
                    f"SQLite cannot read it: {error}"
                )
                self._databases.discard(found.path)
                return False
            info = self._info(found.path, now, tarfile.REGTYPE)
            with copied.open("rb") as content:
                info.size = os.fstat(content.fileno()).st_size
                self.writer.add(info, content)
        return True

    def _info(self, path: tuple[str, ...], found: os.stat_result, kind: bytes) -> tarfile.TarInfo:
        info = tarfile.TarInfo(self._name(path))
        info.type = kind
        info.mode = stat.S_IMODE(found.st_mode)
        info.uid, info.gid, info.mtime = found.st_uid, found.st_gid, found.st_mtime
        return info

    def _name(self, path: tuple[str, ...]) -> str:
        return "/".join((PREFIX, self.name, *path))

    def _shown(self, found: Found) -> str:
        path = "/".join((self.name, *found.path))
        return path.encode(errors="backslashreplace").decode()


def write(
    out: BinaryIO, top: Path, about: dict[str, Any], scratch: Path, note: Callable[[str], None]
) -> None:
    """Write an archive of the volumes that are mounted below `top`, in the order of their names."""
    notes: list[str] = []

    def keep(text: str) -> None:
        notes.append(text)
        note(text)

    names = sorted(path.name for path in top.iterdir())
    writer = Writer(out, scratch)
    writer.add_text(HEAD, as_line({"format": FORMAT, **about, "volumes": names}))
    for name in names:
        Volume(name, writer, keep).write(top / name)
    writer.finish(notes)
