"""The settings that stand in a stack's file.

``pulumi config set`` writes them flat, one to a line, which is all that is read here:
a YAML reader is not part of Python.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

NAMESPACE = "opencode"
CLOUDS = ("aws", "gcp", "azure", "digitalocean")
"""Targets whose stacks rent a machine; `Target` has them too, and costs a command 0.2 s."""

_SETTING = re.compile(rf"^ +{NAMESPACE}:([a-z_]+): *(\S.*?)\s*$", re.MULTILINE)
# What ends with a new line, such as a key that was read from its file.
_BLOCK = re.compile(rf"^( +){NAMESPACE}:([a-z_]+): *\|[-+]?\n((?:\1 +.*(?:\n|$))+)", re.MULTILINE)
# Pulumi writes it on a line of its own; `occ secret set` among others.
_SECURE = re.compile(r"^\s+[^#\n]*\bsecure:", re.MULTILINE)
_SALT = re.compile(r"^encryptionsalt:.*\n?", re.MULTILINE)


def read(path: Path) -> dict[str, str]:
    """Give the plain settings in the file, without namespace; none when there is no file."""
    if not path.exists():
        return {}
    text = _text(path)
    blocks = {key: _joined(lines) for _, key, lines in _BLOCK.findall(text)}
    return {key: _plain(value) for key, value in _SETTING.findall(text)} | blocks


def all_of(root: Path) -> dict[str, Path]:
    """Give the file of every stack in the program's folder, by name."""
    files = sorted((root / "stacks").glob("Pulumi.*.yaml"))
    return {path.name.removeprefix("Pulumi.").removesuffix(".yaml"): path for path in files}


def groups(settings: Mapping[str, str]) -> list[str]:
    """Give the groups that a stack belongs to."""
    return [name for each in settings.get("groups", "").split(",") if (name := each.strip())]


def default_port(root: Path) -> int:
    """Give the port of a stack that names none."""
    schema = json.loads((root / "schemas" / "stack.schema.json").read_text())
    return schema["properties"]["config"]["properties"][f"{NAMESPACE}:port"]["default"]


def has_secrets(path: Path) -> bool:
    """Whether the file holds values that only its passphrase opens."""
    return path.exists() and _SECURE.search(_text(path)) is not None


def has_salt(path: Path) -> bool:
    """Whether the file is bound to a passphrase."""
    return path.exists() and _SALT.search(_text(path)) is not None


def drop_salt(path: Path) -> None:
    """Free the file from its passphrase, so that the next one binds it anew."""
    path.write_text(_SALT.sub("", path.read_text()))


def _text(path: Path) -> str:
    # What else is wrong with the file is for whoever reads all of it to say.
    return path.read_text(errors="replace")


def _joined(lines: str) -> str:
    return "\n".join(line.strip() for line in lines.splitlines())


def _plain(value: str) -> str:
    quoted = re.match(r"""(["'])(.*)\1""", value)
    return quoted[2] if quoted else re.sub(r"\s+#.*", "", value)
