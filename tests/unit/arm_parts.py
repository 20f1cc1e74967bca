"""What the tests of Azure's template and of its form share."""

import copy
import json
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]


def read(root: Path, name: str) -> Document:
    """Read one of Azure's files."""
    return json.loads((root / "deploy/azure" / name).read_text())


def changed(document: Document, path: str, value: Any) -> Document:
    """Give a copy with one thing changed; ``None`` takes it away."""
    mended = copy.deepcopy(document)
    *way, last = [int(part) if part.isdecimal() else part for part in path.split("/")]
    inner: Any = mended
    for part in way:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return mended


def conf(user_data: str) -> dict[str, str]:
    """Give the lines of the ``machine.conf`` in a user-data."""
    content = yaml.safe_load(user_data)["write_files"][0]["content"]
    return dict(line.split("=", 1) for line in content.strip().splitlines())
