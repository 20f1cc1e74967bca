"""Walking a folder whose content somebody may be changing, without being led out of it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Found:
    """One entry, with a descriptor of the folder that it is in, open until the next is asked for.

    Every name is looked up from such a descriptor, never by its whole path: a folder that is
    exchanged for a link meanwhile leads nowhere, and no path is too long.
    """

    folder: int
    name: str
    path: tuple[str, ...]
    """Its names from the top; surrogates stand for bytes that are no UTF-8."""
    stat: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.stat.st_mode)


def walk(top: int, without: frozenset[str] = frozenset()) -> Iterator[Found]:
    """Give everything below the folder `top`, each folder before what is in it, names in order.

    `without` are names in `top` itself that are left out. What vanishes is left out too.
    """
    levels: list[tuple[int, tuple[str, ...], Iterator[str]]] = [(top, (), _names(top, without))]
    try:
        while levels:
            folder, above, names = levels[-1]
            name = next(names, None)
            if name is None:
                _leave(levels)
                continue
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            path = (*above, name)
            yield Found(folder, name, path, found)
            if stat.S_ISDIR(found.st_mode) and (inner := _enter(folder, name)) is not None:
                levels.append((inner, path, _names(inner)))
    finally:
        while levels:
            _leave(levels)


def _names(folder: int, without: frozenset[str] = frozenset()) -> Iterator[str]:
    return iter(sorted(set(os.listdir(folder)) - without))


def _enter(folder: int, name: str) -> int | None:
    """Open a folder; None when it is none any more."""
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except OSError:
        return None


def _leave(levels: list[tuple[int, tuple[str, ...], Iterator[str]]]) -> None:
    folder, above, _ = levels.pop()
    # The top is the caller's.
    if above:
        os.close(folder)
