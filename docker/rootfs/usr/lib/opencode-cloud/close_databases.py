"""Merge the write-ahead logs of a folder's SQLite databases into them, as a clean close does."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

for log in Path(sys.argv[1]).glob("*.db-wal"):
    database = log.with_name(log.name.removesuffix("-wal"))
    try:
        with closing(sqlite3.connect(database, timeout=2)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        print(f"{database} was not closed: {error}; opencode does it at its next start")
