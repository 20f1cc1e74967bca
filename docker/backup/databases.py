"""Consistent copies of SQLite databases that may be in use."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

MAGIC = b"SQLite format 3\0"
COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database; a copy has all of it inside."""
BUSY_SECONDS = 10
TRIES = 5
_BUFFER = 1 << 20


def is_companion(path: tuple[str, ...], databases: set[tuple[str, ...]]) -> bool:
    """Whether a file is what SQLite keeps beside one of the databases."""
    *folder, name = path
    return any(
        name.endswith(end) and (*folder, name.removesuffix(end)) in databases for end in COMPANIONS
    )


def copy(folder: int, name: str, to: Path) -> None:
    """Write the database `name` of the folder to the new file `to`, as of one moment.

    Raises:
        sqlite3.Error: SQLite cannot read it.
        OSError: it cannot be read, or the copy cannot be written.
    """
    try:
        _by_sqlite(folder, name, to)
    except sqlite3.Error:
        # On a read-only mount SQLite cannot make the index that reading a log takes, nor undo
        # an unfinished change. It can in a copy of all the files, if nobody writes meanwhile.
        _discard(to)
        _by_files(folder, name, to)


def _by_sqlite(folder: int, name: str, to: Path) -> None:
    owner = os.stat(name, dir_fd=folder, follow_symlinks=False)
    uri = f"file:/proc/self/fd/{folder}/{quote(os.fsencode(name))}?mode=ro"
    with closing(sqlite3.connect(to)) as target:
        # So that the file is there, and ours, before we are somebody else.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        # SQLite opens by path. As the file's owner, a link that is put in its place at this
        # moment leads nowhere that the owner could not go.
        with (
            _acting_as(owner.st_uid, owner.st_gid),
            closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as source,
        ):
            # In one step: more of them would begin anew at each write of somebody else's.
            source.backup(target)


def _by_files(folder: int, name: str, to: Path) -> None:
    for _ in range(TRIES):
        before = _signature(folder, name)
        for end in ("", "-wal", "-journal"):
            _copy_file(folder, name + end, Path(f"{to}{end}"))
        if _signature(folder, name) == before:
            break
    else:
        _discard(to)
        raise sqlite3.OperationalError("it is being written to by a program that locks it")
    with closing(sqlite3.connect(to)) as copied:
        # Reading brings the log in, or undoes what was unfinished; the last to close tidies up.
        copied.execute("PRAGMA journal_mode = DELETE")
        copied.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _copy_file(folder: int, name: str, to: Path) -> None:
    to.unlink(missing_ok=True)
    with suppress(FileNotFoundError), opened(folder, name) as source, to.open("wb") as target:
        while piece := os.read(source, _BUFFER):
            target.write(piece)


def _signature(folder: int, name: str) -> list[tuple[int, int, int] | None]:
    return [_facts(folder, name + end) for end in ("", "-wal", "-journal")]


def _facts(folder: int, name: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _discard(path: Path) -> None:
    for end in ("", *COMPANIONS):
        Path(f"{path}{end}").unlink(missing_ok=True)


@contextmanager
def opened(folder: int, name: str) -> Iterator[int]:
    """Open a regular file for reading, never through a link and never waiting for a writer."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(f"{name} is no file any more")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _acting_as(user: int, group: int) -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
