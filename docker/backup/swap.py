"""Exchanging the content of several volumes for another: all of it, or nothing.

In every volume's own root there is, for the time being, a folder of ours. In it are `new`, the
content to be, and the content that was: in `taking` while it is being moved there, in `old` when
all of it is. The folder of the users volume is made first and goes last, and in it `committed`
decides: what is found after a crash goes forward if it is there, and back if not.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from backup import JOURNAL_VOLUME, STAYS

NAME = re.compile(r"\.opencode-cloud-restore-[0-9a-f]{16}")
NEW, TAKING, OLD, DROPPED, COMMITTED = "new", "taking", "old", "dropped", "committed"


def make(top: Path, identifier: str, volumes: list[str]) -> None:
    """Make our folder in the users volume, then in each of `volumes`."""
    for volume in [JOURNAL_VOLUME, *volumes]:
        folder = _folder(top, volume, identifier)
        folder.mkdir(mode=0o700, exist_ok=volume == JOURNAL_VOLUME)
        _sync(folder.parent)
    for volume in volumes:
        (_folder(top, volume, identifier) / NEW).mkdir(mode=0o700)


def new(top: Path, identifier: str, volume: str) -> Path:
    """Where the content to be of `volume` goes; its own facts become those of the root."""
    return _folder(top, volume, identifier) / NEW


def swap(top: Path, identifier: str, volumes: list[str]) -> None:
    """Exchange the content of `volumes` for what is in their `new`.

    Until this has returned, `repair` undoes it, and finishes it afterwards.
    """
    for volume in volumes:
        _take(top / volume, _folder(top, volume, identifier), STAYS.get(volume, frozenset()))
        _give(top / volume, _folder(top, volume, identifier) / NEW)
    os.sync()
    (_folder(top, JOURNAL_VOLUME, identifier) / COMMITTED).touch()
    _sync(_folder(top, JOURNAL_VOLUME, identifier))


def _take(root: Path, folder: Path, stays: frozenset[str]) -> None:
    taking = folder / TAKING
    taking.mkdir(mode=0o700)
    _move(root, taking, stays | {folder.name})
    _like(taking, root)
    taking.rename(folder / OLD)
    _sync(folder)


def _give(root: Path, source: Path) -> None:
    _move(source, root, frozenset())
    _like(root, source)


def is_left(top: Path) -> bool:
    """Whether an exchange was cut off."""
    return any(_left(top / JOURNAL_VOLUME))


def repair(top: Path) -> list[str]:
    """Finish or undo what an exchange that was cut off has left; gives what was done, in words.

    Needs to be alone with the volumes.
    """
    said = []
    for identifier in _left(top / JOURNAL_VOLUME):
        journal = _folder(top, JOURNAL_VOLUME, identifier)
        volumes = [
            path.name
            for path in sorted(top.iterdir())
            if _is_ours(_folder(top, path.name, identifier)) and path.name != JOURNAL_VOLUME
        ]
        is_committed = (journal / COMMITTED).exists()
        for volume in [*volumes, JOURNAL_VOLUME]:
            if not is_committed:
                _undo(top / volume, _folder(top, volume, identifier))
        os.sync()
        for volume in volumes:
            shutil.rmtree(_folder(top, volume, identifier))
        _remove_journal(journal)
        said.append(
            "finished a restore that was cut off"
            if is_committed
            else "undid a restore that was cut off: the data are those of before it"
        )
    return said


def _remove_journal(journal: Path) -> None:
    """Remove the folder of the users volume, and at the very end what decides."""
    for name in (NEW, TAKING, OLD, DROPPED):
        if (journal / name).exists():
            shutil.rmtree(journal / name)
    _sync(journal)
    shutil.rmtree(journal)


def _undo(root: Path, folder: Path) -> None:
    """Put back what was. Each step may have been done already, by one that was cut off too."""
    stays = STAYS.get(root.name, frozenset()) | {folder.name}
    if (folder / OLD).exists():
        (folder / DROPPED).mkdir(mode=0o700, exist_ok=True)
        _move(root, folder / DROPPED, stays)
        (folder / OLD).rename(folder / TAKING)
        _sync(folder)
    if (folder / TAKING).exists():
        if (folder / DROPPED).exists():
            # All was taken, so that the root's own facts may be the new content's.
            _like(root, folder / TAKING)
        _move(folder / TAKING, root, frozenset())


def _move(source: Path, target: Path, without: frozenset[str]) -> None:
    for path in list(source.iterdir()):
        if path.name not in without:
            path.rename(target / path.name)
    _sync(source)
    _sync(target)


def _like(path: Path, model: Path) -> None:
    """Give a folder the owner, mode and time of another."""
    facts = model.stat()
    os.chown(path, facts.st_uid, facts.st_gid)
    path.chmod(stat.S_IMODE(facts.st_mode))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _left(journal: Path) -> Iterator[str]:
    for path in sorted(journal.iterdir()):
        if NAME.fullmatch(path.name) and _is_ours(path):
            yield path.name


def _is_ours(folder: Path) -> bool:
    """Whether root made it: the agent can make a folder of that name, but not for root."""
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()


def _folder(top: Path, volume: str, identifier: str) -> Path:
    return top / volume / identifier


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
