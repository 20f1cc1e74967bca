"""Versions of opencode, and a note of the newest that was heard of.

Reads little and imports little: `occ status` looks here each time.
"""

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from opencode_cloud.start.paths import Paths

_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}", re.ASCII)


def order(version: str) -> tuple[int, ...]:
    """Give what sorts versions from old to new; empty for what is no version."""
    return tuple(map(int, version.split("."))) if _VERSION.fullmatch(version) else ()


@dataclass(frozen=True)
class Heard:
    """What the registry said when it was asked last."""

    newest: str
    machine: str
    asked: str
    """RFC 3339."""


def note(paths: Paths, newest: str, machine: str, now: datetime) -> None:
    """Keep what was heard, for those who do not ask."""
    file = _note_file(paths)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    heard = Heard(newest, machine, now.isoformat(timespec="seconds"))
    import tempfile

    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as made:
        json.dump(asdict(heard), made)
    Path(made.name).replace(file)


def heard(paths: Paths) -> Heard | None:
    """Give what was heard last; asks nobody."""
    try:
        said = json.loads(_note_file(paths).read_text())
        return Heard(str(said["newest"]), str(said["machine"]), str(said["asked"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def later(newest: str, runs: str) -> str:
    """Give `newest` if it is newer than what runs; else nothing, as where one is not known."""
    known = order(newest) and order(runs)
    return newest if known and order(newest) > order(runs) else ""


def offered(stack: str) -> str:
    """Give the newest version that was heard of, where the stack's settings let it be said."""
    from opencode_cloud.ops.program import find_program
    from opencode_cloud.start import stack_file

    if not (program := find_program(stack)):
        return ""
    said = stack_file.read(program.file)
    built = said.get("image_source") == "build"
    wanted = said.get("update_check", "true").lower() != "false"
    known = heard(program.paths) if built and wanted else None
    return known.newest if known else ""


def _note_file(paths: Paths) -> Path:
    return paths.cache / "opencode-releases.json"
