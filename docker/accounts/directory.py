"""Reading accounts from the system's passwd, shadow and group files."""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from accounts import GROUP

DAY = 86400
"""Seconds in the unit in which shadow counts."""


@dataclass(frozen=True)
class Account:
    """One account and its standing."""

    name: str
    fingerprint: str
    """Changes with the password, a lock, an expiry date or the id, and with nothing else."""
    locked: bool
    expires: int | None
    """Day after 1970-01-01 from which the account is closed; None for never."""

    def is_enabled(self, now: float) -> bool:
        """Whether the account may sign in at `now`, in seconds since 1970."""
        return not self.locked and (self.expires is None or now // DAY < self.expires)


class Directory:
    """The accounts as they are now: the files are read again as soon as one has changed.

    Asking costs three `stat` calls, so it can be done for every request. Raises OSError when a
    file cannot be read.
    """

    def __init__(self, folder: Path = Path("/etc")) -> None:
        self._files = [folder / name for name in ("group", "passwd", "shadow")]
        self._seen: list[tuple[int, int, int]] = []
        self._accounts: dict[str, Account] = {}

    def get(self, name: str) -> Account | None:
        """The account called `name`, enabled or not; None when there is none."""
        return self._read().get(name)

    def get_enabled(self, name: str) -> Account | None:
        """The account called `name` when it may sign in now, else None."""
        account = self.get(name)
        return account if account and account.is_enabled(time.time()) else None

    def __iter__(self) -> Iterator[Account]:
        """All accounts, by name."""
        accounts = self._read()
        return iter([accounts[name] for name in sorted(accounts)])

    def _read(self) -> dict[str, Account]:
        seen = [(s.st_mtime_ns, s.st_ino, s.st_size) for s in map(os.stat, self._files)]
        if seen != self._seen:
            texts = (file.read_text(encoding="utf-8") for file in self._files)
            self._accounts = parse(*texts)
            self._seen = seen
        return self._accounts


def parse(group: str, passwd: str, shadow: str) -> dict[str, Account]:
    """The accounts in the text of the three files: named in all of them, group by membership."""
    members = {
        name
        for line in group.splitlines()
        if line.startswith(f"{GROUP}:")
        for name in line.split(":")[3].split(",")
    }
    ids = {fields[0]: fields[2] for fields in _lines(passwd, 7)}
    accounts = (
        _account(fields, ids[fields[0]])
        for fields in _lines(shadow, 9)
        if fields[0] in members and fields[0] in ids
    )
    return {account.name: account for account in accounts}


def _lines(text: str, count: int) -> list[list[str]]:
    lines = (line.split(":") for line in text.splitlines())
    return [fields for fields in lines if len(fields) == count]


def _account(shadow: list[str], uid: str) -> Account:
    password, expires = shadow[1], shadow[7]
    return Account(
        name=shadow[0],
        fingerprint=hashlib.sha256(":".join([*shadow, uid]).encode()).hexdigest(),
        locked=not password.startswith("$"),
        expires=int(expires) if expires else None,
    )
