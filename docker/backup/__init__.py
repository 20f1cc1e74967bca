"""Backups: the volumes as one tar stream, and a stream back into them, wholly or not at all.

It runs in a container of its own that has the volumes and nothing else. In the archive the
first member says what it is (HEAD), then come the volumes' files, and the last one (MANIFEST)
has a row of facts and a hash for every member before it: without it, an archive was cut off.
"""

from pathlib import Path

FORMAT = 1
HEAD = "backup.json"
MANIFEST = "manifest.jsonl"
PREFIX = "volumes"
"""Folder of the volumes in the archive; below it, each by its name."""

VOLUMES = Path("/volumes")
"""Where the volumes are mounted in the helper's container."""
JOURNAL_VOLUME = "users"
"""Its root belongs to root, so that nothing in it can be forged by the agent."""
STAYS = {"users": frozenset({"sessions"})}
"""What is in no backup and outlives a restore: who is signed in now. Sign-ins of the past must
not come to life again, since some of them were ended for a reason."""

LOCKS = {"state": ("opencode", "locks")}
"""Folders whose content means nothing to another process, such as opencode's locks."""


class BackupError(Exception):
    """What was asked for is not possible; the message says why."""
