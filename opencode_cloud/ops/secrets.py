"""The secrets of a stack: encrypted in its file by Pulumi, and never anywhere else by us."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from opencode_cloud.environment import MOST_BYTES, SECRET, value_refusal
from opencode_cloud.ops.environment import change, check_name
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.program import Program
from opencode_cloud.ops.stack_change import Change
from opencode_cloud.ops.stack_document import Document, Entry

_MOST_READ = MOST_BYTES + 3
"""Bytes: enough to see that there are too many, line end and all."""
_ANY = "NAME"
"""Of the one secret in the copy that Pulumi writes to; the ciphertext is not bound to it."""
_SALT = "encryptionsalt"
_BINDINGS = (_SALT, "secretsprovider", "encryptedkey")
"""What says with which key a file's values are encrypted."""


@dataclass(frozen=True)
class Secret:
    """One secret, without its value."""

    name: str
    set: str | None
    """When, in UTC; ``None``: not known, as Pulumi itself set it."""
    encrypted: bool
    """Whether its value is: a person may have written it into the file."""


def secrets(document: Document) -> list[Secret]:
    """Give every secret in the stack's file."""
    entries = sorted(document.of(SECRET).entries.items())
    return [Secret(name, _moment(entry), entry.encrypted) for name, entry in entries]


def read(file: Path | None, stdin: bytes = b"") -> str:
    """Give the value in a file, or else in what came on standard input.

    One line end at the end is not part of it: nearly everything that writes a file adds one.

    Raises:
        OperationError: it cannot be read, or can be no secret.
    """
    content = stdin
    if file:
        try:
            with file.open("rb") as opened:
                content = opened.read(_MOST_READ)
        except OSError as error:
            raise OperationError(f"{file} cannot be read: {error.strerror}.") from None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise OperationError(
            "The value is no UTF-8 text, and no variable should hold anything else. Encode it "
            "(base64 < FILE), or have opencode read a file."
        ) from None
    return text.removesuffix("\n").removesuffix("\r")


def set_secret(program: Program, document: Document, name: str, value: str) -> Change:
    """Judge giving a secret a value; Pulumi encrypts it, and gets it by standard input.

    Raises:
        OperationError: the name or the value cannot be a secret's, or Pulumi failed.
        StackConfigError: the file cannot be read or changed.
    """
    check_name(name, SECRET, document)
    if why := "is empty" if not value else value_refusal(value):
        raise OperationError(f"The value of {name} {why}. Nothing was changed.")
    sealed = _sealed(program, document, value)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ciphertext = _secure(sealed.of(SECRET).entries[_ANY].value_node)
    if not ciphertext:
        raise OperationError("Pulumi encrypted nothing. Nothing was changed.")
    # The first one binds the file to the passphrase.
    bound = _with_salt(document, sealed)
    return change(document, bound.of(SECRET).with_encrypted(name, ciphertext, moment))


def _sealed(program: Program, document: Document, value: str) -> Document:
    """Have Pulumi encrypt a value with the stack's key, in a copy of its file.

    Its own way of writing may change the layout of everything else in the file.
    """
    with tempfile.TemporaryDirectory(prefix="occ-") as folder:
        copy = Path(folder) / "stack.yaml"
        bindings = (document.top_level(key) for key in _BINDINGS)
        copy.write_text("\n".join([*filter(None, bindings), "config: {}", ""]))
        program.pulumi(
            *("config", "set", "--stack", program.stack, "--config-file", str(copy)),
            *("--secret", f"{SECRET}:{_ANY}"),
            # Pulumi takes one line end away.
            stdin=f"{value}\n",
        )
        return Document(document.name, copy.read_text())


def _with_salt(document: Document, sealed: Document) -> Document:
    salt = sealed.top_level(_SALT)
    if not salt or document.top_level(_SALT):
        return document
    gap = "" if document.text.endswith("\n") or not document.text else "\n"
    return Document(document.name, f"{document.text}{gap}{salt}\n")


def _moment(entry: Entry) -> str | None:
    node = _pairs(entry.value_node).get("set")
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _secure(node: yaml.Node) -> str:
    found = _pairs(node).get("secure")
    return str(found.value) if isinstance(found, yaml.ScalarNode) else ""


def _pairs(node: yaml.Node) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value}
