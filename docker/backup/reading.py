"""Members of an archive into new folders.

The content of the files was checked by whoever sends them; where they may go is checked here,
and that the links among them lead nowhere else.
"""

import os
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from backup import HEAD, MANIFEST, PREFIX, BackupError
from backup.tree import FOLDER

_BLOCK = 1 << 18
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLE = bytes(1 << 16)
_NO_ID = 2**32 - 1


class Frames:
    """What is sent, in pieces with their length before them. A piece of no length says: it was
    checked, and is to be put in place. An end without it is none."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._rest = 0
        self.is_complete = False

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; nothing at the end."""
        if self.is_complete:
            return b""
        if not self._rest:
            self._rest = int.from_bytes(self._exactly(4), "big")
            if not self._rest:
                self.is_complete = True
                return b""
        piece = self._source.read(min(size, self._rest))
        if not piece:
            raise BackupError("it was stopped before all of the archive was there")
        self._rest -= len(piece)
        return piece

    def _exactly(self, size: int) -> bytes:
        found = self._source.read(size)
        if len(found) < size:
            raise BackupError("it was stopped before all of the archive was there")
        return found


@dataclass
class Unpacking:
    """Puts members where they belong: each volume has a folder for what is to become of it."""

    targets: dict[str, Path]
    left_out: frozenset[str] = frozenset()
    """Volumes that are in the archive, and stay as they are."""
    _tops: dict[str, int] = field(default_factory=dict)
    _folders: list[tuple[tuple[str, ...], tarfile.TarInfo]] = field(default_factory=list)
    _parent: tuple[tuple[str, ...], int] | None = None
    """The folder that was written to last, with its open descriptor."""

    def unpack(self, source: Frames) -> None:
        """Unpack a whole archive.

        Raises:
            BackupError: it holds what does not belong in an archive of ours.
            OSError: it cannot be written, as when the disk is full.
        """
        self._tops = {name: os.open(path, FOLDER) for name, path in self.targets.items()}
        with tarfile.open(  # pyright: ignore[reportCallIssue]
            fileobj=source,  # pyright: ignore[reportArgumentType] - it only reads
            mode="r|",
            bufsize=_BLOCK,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive:
            while (info := archive.next()) is not None:
                # tarfile remembers every member, for seeking.
                archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
                if info.name not in (HEAD, MANIFEST):
                    self._unpack(archive, info)
        while source.read(_BLOCK):
            pass
        # What is in a folder changes the folder's time: the inner ones first.
        for path, info in reversed(self._folders):
            self._finish_folder(path, info)

    def close(self) -> None:
        """Close what is open."""
        if self._parent:
            os.close(self._parent[1])
            self._parent = None
        while self._tops:
            os.close(self._tops.popitem()[1])

    def _unpack(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        path = self._path(info.name)
        if path[0] in self.left_out:
            return
        if len(path) == 1:
            if not info.isdir():
                raise BackupError(f"{info.name!r} in it is no folder")
            self._folders.append((path, info))
            return
        folder, name = self._open(path[:-1]), path[-1]
        try:
            if info.isdir():
                os.mkdir(name, 0o700, dir_fd=folder)
                self._folders.append((path, info))
            elif info.issym():
                os.symlink(info.linkname, name, dir_fd=folder)
                _own(folder, name, info)
            elif info.islnk():
                self._link(info, folder, name)
            elif info.isreg():
                self._write(archive, info, folder, name)
            else:
                raise BackupError(f"{info.name!r} in it is neither file nor folder nor link")
        except FileExistsError:
            raise BackupError(f"{info.name!r} is in it twice") from None

    def _path(self, name: str) -> tuple[str, ...]:
        """Take a member's name apart: the volume, and the names below it."""
        prefix, *path = name.split("/")
        if prefix != PREFIX or not path or any(part in ("", ".", "..") for part in path):
            raise BackupError(f"{name!r} in it leads out of the volumes")
        if path[0] not in self.targets and path[0] not in self.left_out:
            raise BackupError(f"{name!r} in it belongs to no volume that it says it has")
        return tuple(path)

    def _open(self, path: tuple[str, ...]) -> int:
        """Open a folder that was unpacked; the descriptor is good until the next call."""
        if self._parent and self._parent[0] == path:
            return self._parent[1]
        descriptor = os.dup(self._tops[path[0]])
        for name in path[1:]:
            try:
                inner = os.open(name, FOLDER, dir_fd=descriptor)
            except OSError:
                shown = "/".join((PREFIX, *path))
                raise BackupError(f"{shown!r} in it is used as a folder and is none") from None
            finally:
                os.close(descriptor)
            descriptor = inner
        if self._parent:
            os.close(self._parent[1])
        self._parent = path, descriptor
        return descriptor

    def _link(self, info: tarfile.TarInfo, folder: int, name: str) -> None:
        target = self._path(info.linkname)
        if len(target) == 1:
            raise BackupError(f"{info.name!r} in it is a link to a whole volume")
        if target[0] in self.left_out:
            raise BackupError(f"{info.name!r} in it is a link to another volume")
        kept = os.dup(folder)
        try:
            source = self._open(target[:-1])
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=kept, follow_symlinks=False)
        except FileNotFoundError:
            raise BackupError(f"{info.name!r} in it is a link to what is not there") from None
        finally:
            os.close(kept)

    def _write(
        self, archive: tarfile.TarFile, info: tarfile.TarInfo, folder: int, name: str
    ) -> None:
        content = archive.extractfile(info)
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            while content and (piece := content.read(len(_HOLE))):
                # Holes stay holes: what was a big empty file does not fill the disk.
                if piece == _HOLE:
                    file.seek(len(piece), os.SEEK_CUR)
                else:
                    file.write(piece)
            file.truncate(info.size)
            os.fchown(descriptor, *_ids(info))
            os.fchmod(descriptor, info.mode & 0o7777)
            os.utime(descriptor, (info.mtime, info.mtime))

    def _finish_folder(self, path: tuple[str, ...], info: tarfile.TarInfo) -> None:
        folder = self._open(path)
        os.fchown(folder, *_ids(info))
        os.fchmod(folder, info.mode & 0o7777)
        os.utime(folder, (info.mtime, info.mtime))


def _own(folder: int, name: str, info: tarfile.TarInfo) -> None:
    os.chown(name, *_ids(info), dir_fd=folder, follow_symlinks=False)
    # Not every file system keeps a link's time.
    with suppress(OSError):
        os.utime(name, (info.mtime, info.mtime), dir_fd=folder, follow_symlinks=False)


def _ids(info: tarfile.TarInfo) -> tuple[int, int]:
    # The last number is no id: chown would take it for "leave as it is".
    if not (0 <= info.uid < _NO_ID and 0 <= info.gid < _NO_ID):
        raise BackupError(f"{info.name!r} in it belongs to nobody who can be: {info.uid}")
    return info.uid, info.gid
