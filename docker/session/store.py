"""Sessions and keys on disk, so that a sign-in outlives the service and the container."""

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

IDLE_SECONDS = 7 * 86400
"""A session that is not used for this long has ended."""
ABSOLUTE_SECONDS = 30 * 86400
"""A session ends this long after signing in, however much it is used."""
TOUCH_SECONDS = 60
"""How exactly the last use is kept: one write a minute, not one a request."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    token_hash BLOB PRIMARY KEY,
    user TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Session:
    """A sign-in, as its token finds it."""

    user: str
    fingerprint: str
    """The account's at the time of signing in; see accounts.directory."""


class Store:
    """The SQLite file. Times are seconds since 1970; of tokens only hashes are kept."""

    def __init__(self, path: Path | str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        # Writes do not wait for the disk: a power cut may undo the last sign-ins, nothing else can.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; the store is of no use afterwards."""
        self._database.close()

    def key(self, name: str, length: int) -> bytes:
        """The random key called `name`, made of `length` bytes when it is first asked for."""
        self._database.execute(
            "INSERT OR IGNORE INTO keys VALUES (?, ?)", (name, secrets.token_bytes(length))
        )
        row = self._database.execute("SELECT value FROM keys WHERE name = ?", (name,)).fetchone()
        return row[0]

    def create(self, user: str, fingerprint: str, now: float) -> str:
        """Begin a session; gives its token, which is kept nowhere. Forgets sessions that ended."""
        self._database.execute(
            "DELETE FROM sessions WHERE created <= ? OR used <= ?",
            (now - ABSOLUTE_SECONDS, now - IDLE_SECONDS),
        )
        token = secrets.token_urlsafe(32)
        self._database.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
            (_hash(token), user, fingerprint, now, now),
        )
        return token

    def find(self, token: str, now: float) -> Session | None:
        """The session of `token`, now in use; None when there is none or it has ended."""
        row = self._database.execute(
            "SELECT user, fingerprint, created, used FROM sessions WHERE token_hash = ?",
            (_hash(token),),
        ).fetchone()
        if row is None:
            return None
        user, fingerprint, created, used = row
        if now >= created + ABSOLUTE_SECONDS or now >= used + IDLE_SECONDS:
            return None
        if now >= used + TOUCH_SECONDS:
            self._database.execute(
                "UPDATE sessions SET used = ? WHERE token_hash = ?", (now, _hash(token))
            )
        return Session(user, fingerprint)

    def end(self, token: str) -> None:
        """End the session of `token`, if there is one."""
        self._database.execute("DELETE FROM sessions WHERE token_hash = ?", (_hash(token),))


def _hash(token: str) -> bytes:
    # A token is 256 random bits: nothing to guess, so a plain hash is enough.
    return hashlib.sha256(token.encode()).digest()
