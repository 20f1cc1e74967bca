"""Sessions and keys on disk, so that a sign-in outlives the service and the container."""

import hashlib
import secrets
import sqlite3
from dataclasses import dataclass, fields
from pathlib import Path

IDLE_SECONDS = 7 * 86400
"""A session that is not used for this long has ended."""
ABSOLUTE_SECONDS = 30 * 86400
"""A session ends this long after signing in, however much it is used."""
TOUCH_SECONDS = 60
"""How exactly the last use is kept: one write a minute, not one a request."""

_STEPS = (
    """
    CREATE TABLE IF NOT EXISTS sessions (
        token_hash BLOB PRIMARY KEY,
        user TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        created REAL NOT NULL,
        used REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    """,
    """
    ALTER TABLE sessions ADD COLUMN id TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
    ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';
    UPDATE sessions SET id = lower(hex(randomblob(12)));
    CREATE UNIQUE INDEX sessions_by_id ON sessions (id);
    CREATE INDEX sessions_by_user ON sessions (user);
    CREATE TABLE epochs (user TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
    """,
)
"""What makes a file that has gone through the first n (PRAGMA user_version) one of today's."""


@dataclass(frozen=True)
class Session:
    """A sign-in."""

    id: str
    """Names it to people and in logs, and opens nothing."""
    user: str
    fingerprint: str
    """The account's at the time of signing in; see accounts.directory."""
    address: str
    """Where it was used from last; empty when that is not known."""
    agent: str
    """The browser's own description of itself when it signed in."""
    created: float
    used: float


class Store:
    """The SQLite file. Times are seconds since 1970; of tokens only hashes are kept."""

    def __init__(self, path: Path | str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        # Writes do not wait for the disk: a power cut may undo the last sign-ins, nothing else can.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        done = self._database.execute("PRAGMA user_version").fetchone()[0]
        for version, step in enumerate(_STEPS[done:], start=done + 1):
            self._database.executescript(f"BEGIN; {step} PRAGMA user_version = {version}; COMMIT;")

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

    def create(
        self, user: str, fingerprint: str, address: str, agent: str, now: float
    ) -> tuple[str, Session]:
        """Begin a session; gives its token, which is kept nowhere, and the session."""
        self._forget_ended(now)
        token = secrets.token_urlsafe(32)
        session = Session(secrets.token_hex(12), user, fingerprint, address, agent, now, now)
        self._database.execute(
            "INSERT INTO sessions"
            " (token_hash, user, fingerprint, created, used, id, address, agent)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (_hash(token), user, fingerprint, now, now, session.id, address, agent),
        )
        return token, session

    def find(self, token: str, address: str, now: float) -> Session | None:
        """The session of `token`, now in use from `address`; None when there is none any more."""
        row = self._database.execute(
            "SELECT * FROM sessions WHERE token_hash = ?", (_hash(token),)
        ).fetchone()
        session = _live(row, now)
        if session and now >= session.used + TOUCH_SECONDS:
            self._database.execute(
                "UPDATE sessions SET used = ?, address = ? WHERE id = ?", (now, address, session.id)
            )
        return session

    def get(self, identifier: str, now: float) -> Session | None:
        """The session with that id, without using it; None when there is none any more."""
        row = self._database.execute(
            "SELECT * FROM sessions WHERE id = ?", (identifier,)
        ).fetchone()
        return _live(row, now)

    def of_user(self, user: str, now: float) -> list[Session]:
        """The user's sessions, the one that was used last first."""
        rows = self._database.execute(
            "SELECT * FROM sessions WHERE user = ? ORDER BY used DESC, created DESC", (user,)
        )
        return [session for row in rows if (session := _live(row, now))]

    def count(self, now: float) -> int:
        """How many sessions there are."""
        self._forget_ended(now)
        return self._database.execute("SELECT count(*) FROM sessions").fetchone()[0]

    def end(self, user: str, identifier: str) -> bool:
        """End the session with that id if it is the user's own; gives whether it was."""
        ended = self._database.execute(
            "DELETE FROM sessions WHERE id = ? AND user = ?", (identifier, user)
        )
        return ended.rowcount > 0

    def end_all(self, user: str) -> None:
        """End every session of the user, and begin the user's next epoch."""
        self._database.execute("BEGIN")
        with self._database:
            self._database.execute("DELETE FROM sessions WHERE user = ?", (user,))
            self._database.execute(
                "INSERT INTO epochs VALUES (?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1",
                (user,),
            )

    def epoch(self, user: str) -> int:
        """How often the user has signed out everywhere."""
        row = self._database.execute("SELECT epoch FROM epochs WHERE user = ?", (user,)).fetchone()
        return row[0] if row else 0

    def _forget_ended(self, now: float) -> None:
        self._database.execute(
            "DELETE FROM sessions WHERE created <= ? OR used <= ?",
            (now - ABSOLUTE_SECONDS, now - IDLE_SECONDS),
        )


def _live(row: sqlite3.Row | None, now: float) -> Session | None:
    """The session of a row of the table, unless it has ended."""
    if row is None:
        return None
    session = Session(**{field.name: row[field.name] for field in fields(Session)})
    has_ended = now >= session.created + ABSOLUTE_SECONDS or now >= session.used + IDLE_SECONDS
    return None if has_ended else session


def _hash(token: str) -> bytes:
    # A token is 256 random bits: nothing to guess, so a plain hash is enough.
    return hashlib.sha256(token.encode()).digest()
