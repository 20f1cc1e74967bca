"""Files that are there whole, or as they were."""

import os
from pathlib import Path

PRIVATE = 0o600


def replace(file: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Replace `file` as a whole; it is never open to more than `mode` says."""
    new = file.with_name(f".{file.name}.new")
    with open(new, "wb", opener=_open_privately) as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, mode=PRIVATE)
