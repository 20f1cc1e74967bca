"""The text of a stack's file: what each setting says, and the text with another value."""

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import yaml
from yaml import SafeLoader
from yaml.constructor import SafeConstructor

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.setting_error import NAMESPACE

# `port` and `opencode:config:port` are other ways in which Pulumi lets one write `opencode:port`.
KEY = re.compile(rf"(?:{NAMESPACE}:(?:config:)?)?([^:]+)")


class StackConfigError(OperationError):
    """A stack's file cannot be read, or changed as asked; it is as it was."""


_LAYOUT = "is laid out in a way that occ cannot change without touching the rest of it"

# What Pulumi itself leaves without quotes, where no reader takes it for another type.
_PLAIN = re.compile(
    r"[A-Za-z/][A-Za-z0-9_./:@,+=-]*[A-Za-z0-9_/=+-]|[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?"
)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_STRING = "tag:yaml.org,2002:str"
_NULLS = ("", "~", "null", "Null", "NULL")
_INTEGER = "tag:yaml.org,2002:int"

ENCRYPTED = "(secret)"
"""What is shown for an encrypted value."""

_Pairs = dict[str, tuple[yaml.Node, yaml.Node]]


@dataclass(frozen=True)
class Entry:
    """One setting in the file, and where it stands."""

    value: str
    """As the program gets it; empty where ``encrypted``."""
    encrypted: bool
    key_node: yaml.Node
    value_node: yaml.Node


@dataclass(frozen=True)
class Document:
    """The text of a stack's file, and what one namespace has in it: the settings, unless said."""

    name: str
    """Of the file, for messages."""
    text: str
    namespace: str = NAMESPACE

    def of(self, namespace: str) -> "Document":
        """Give the same text as another namespace's."""
        return replace(self, namespace=namespace)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every setting of the namespace, by bare name, in the file's order.

        Raises:
            StackConfigError: the file cannot be read.
        """
        found: dict[str, Entry] = {}
        for key, (key_node, value_node) in self._config.items():
            match = self._key.fullmatch(key)
            if not match:
                continue
            if match[1] in found:
                raise self._unreadable(key_node.start_mark, f"{match[1]!r} stands twice")
            encrypted = _is_encrypted(value_node)
            try:
                value = "" if encrypted else _as_read(value_node)
            except (yaml.YAMLError, ValueError):
                raise self._unreadable(value_node.start_mark, "no value that YAML knows") from None
            found[match[1]] = Entry(value, encrypted, key_node, value_node)
        return found

    @property
    def values(self) -> dict[str, str]:
        """The settings that can be read."""
        return {name: entry.value for name, entry in self.entries.items() if not entry.encrypted}

    @property
    def encrypted(self) -> set[str]:
        """Names of the settings whose values only the passphrase opens."""
        return {name for name, entry in self.entries.items() if entry.encrypted}

    @property
    def whole(self) -> dict[str, Any]:
        """All that the file says of each setting, for comparing."""
        return {name: _shape(entry.value_node) for name, entry in self.entries.items()}

    def said(self, name: str) -> str | None:
        """Give what the file says of a setting; ``None`` when it does not name it."""
        entry = self.entries.get(name)
        return (ENCRYPTED if entry.encrypted else entry.value) if entry else None

    def with_value(self, name: str, value: str) -> "Document":
        """Give the document in which ``name`` has ``value``, and nothing else is different.

        Raises:
            StackConfigError: the file's layout does not allow it.
        """
        return self._checked(self._with(name, _written(value)), name, value)

    def with_encrypted(self, name: str, ciphertext: str, moment: str) -> "Document":
        """Give the document in which ``name`` has an encrypted value, and when it was set.

        Raises:
            StackConfigError: the file's layout does not allow it.
        """
        # On one line, so that it takes the place of whatever was there.
        value = f"{{set: {json.dumps(moment)}, value: {{secure: {json.dumps(ciphertext)}}}}}"
        return self._checked(self._with(name, value), name, ENCRYPTED)

    def _with(self, name: str, scalar: str) -> str:
        entry = self.entries.get(name)
        line = f"{self.namespace}:{name}: {scalar}"
        if entry:
            return self._replaced(entry, scalar)
        if "config" not in self._root:
            gap = "" if not self.text or self.text.endswith("\n") else self._eol
            return f"{self.text}{gap}config:{self._eol}  {line}{self._eol}"
        return self._appended(line) if self._config else self._first(line)

    def without(self, name: str) -> "Document":
        """Give the document without ``name``, and nothing else different.

        Raises:
            StackConfigError: the file's layout does not allow it.
        """
        entry = self.entries.get(name)
        if not entry:
            return self
        start = self.text.rfind("\n", 0, entry.key_node.start_mark.index) + 1
        text = self.text[:start] + self.text[self._line_end(entry.value_node) :]
        if len(self._config) == 1:
            # A `config:` of nothing at all would be null, which the schema refuses.
            colon = self._colon(self._root["config"][0])
            text = f"{text[:colon]} {{}}{text[colon:]}"
        return self._checked(text, name, None)

    def top_level(self, key: str) -> str:
        """Give the line of a text outside of ``config:``; empty where there is none."""
        _, node = self._root.get(key, (None, None))
        return f"{key}: {json.dumps(node.value)}" if isinstance(node, yaml.ScalarNode) else ""

    @property
    def elsewhere(self) -> dict[str, Any]:
        """Give what the file says outside of ``config:``, for comparing."""
        return {key: _shape(value) for key, (_, value) in self._root.items() if key != "config"}

    @property
    def _key(self) -> re.Pattern[str]:
        if self.namespace == NAMESPACE:
            return KEY
        return re.compile(rf"{self.namespace}:(?:config:)?([^:]+)")

    @cached_property
    def _root(self) -> _Pairs:
        try:
            node = yaml.compose(self.text, Loader=SafeLoader)
            _shape(node)
        except yaml.MarkedYAMLError as error:
            raise self._unreadable(error.problem_mark, error.problem or "no YAML") from None
        except yaml.YAMLError as error:
            raise self._unreadable(None, str(error).splitlines()[0]) from None
        except RecursionError:
            raise self._unreadable(None, "it is nested too deeply, or in itself") from None
        return self._pairs(node)

    @cached_property
    def _config(self) -> _Pairs:
        return self._pairs(self._root["config"][1]) if "config" in self._root else {}

    def _pairs(self, node: yaml.Node | None) -> _Pairs:
        if node is None or (isinstance(node, yaml.ScalarNode) and node.value in _NULLS):
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self._unreadable(node.start_mark, "here `key: value` lines are expected")
        found: _Pairs = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                raise self._unreadable(key.start_mark, f"{name!r} stands twice")
            found[name] = (key, value)
        return found

    def _unreadable(self, mark: yaml.Mark | None, problem: str) -> StackConfigError:
        where = f", line {mark.line + 1}" if mark else ""
        return StackConfigError(
            f"{self.name}{where}: {problem}.\nPut it right by `occ config edit`, or in any editor."
        )

    @property
    def _eol(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _colon(self, key: yaml.Node) -> int:
        """Give the place after a key's colon; 0 where it has none, which is refused later."""
        return self.text.find(":", key.end_mark.index) + 1

    def _line_end(self, node: yaml.Node) -> int:
        """Give the place where the line after a value begins, or the text ends."""
        end = _end(node)
        if self.text[end - 1] == "\n":
            return end
        newline = self.text.find("\n", end)
        return len(self.text) if newline < 0 else newline + 1

    def _replaced(self, entry: Entry, scalar: str) -> str:
        node = entry.value_node
        start, end = node.start_mark.index, _end(node)
        inline = isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">")
        if inline and start < end:
            return self.text[:start] + scalar + self.text[end:]
        # Blocks begin on a line of their own, and nothing at all right after the colon.
        start = self._colon(entry.key_node)
        tail = self._eol if self.text[end - 1] == "\n" else ""
        return f"{self.text[:start]} {scalar}{tail}{self.text[end:]}"

    def _first(self, line: str) -> str:
        key, value = self._root["config"]
        start, end = self._colon(key), self._line_end(value)
        comment = self.text[max(start, _end(value)) : end].rstrip("\r\n")
        return f"{self.text[:start]}{comment}{self._eol}  {line}{self._eol}{self.text[end:]}"

    def _appended(self, line: str) -> str:
        keys = list(self._config.values())
        indent = " " * keys[0][0].start_mark.column
        end = self._line_end(keys[-1][1])
        gap = "" if self.text[end - 1] == "\n" else self._eol
        return f"{self.text[:end]}{gap}{indent}{line}{self._eol}{self.text[end:]}"

    def _checked(self, text: str, name: str, value: str | None) -> "Document":
        changed = Document(self.name, text, self.namespace)
        try:
            right = changed._rest(name) == self._rest(name) and changed.said(name) == value
        except StackConfigError:
            right = False
        if right:
            return changed
        key = f"{self.namespace}:{name}"
        rest = f"set {key} ..." if value is not None else f"rm {key}"
        raise StackConfigError(
            f"{self.name} {_LAYOUT}.\nChange it by `occ config edit`, or by `pulumi config {rest}`."
        )

    def _rest(self, name: str) -> Any:
        """Give all that the file says but one setting, for comparing."""
        config = {
            key: _shape(value)
            for key, (_, value) in self._config.items()
            if not (match := self._key.fullmatch(key)) or match[1] != name
        }
        return self.elsewhere, config


def _end(node: yaml.Node) -> int:
    """Give the place after a value's last character; a block's own mark lies beyond comments."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


def _shape(node: yaml.Node | None) -> Any:
    """Give what a node says, whatever way it is written."""
    if node is None:
        return None
    if isinstance(node, yaml.MappingNode):
        return [(_shape(key), _shape(value)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [_shape(item) for item in node.value]
    return node.tag, node.value


def _is_encrypted(node: yaml.Node) -> bool:
    if isinstance(node, yaml.MappingNode):
        return any(key.value == "secure" or _is_encrypted(value) for key, value in node.value)
    return isinstance(node, yaml.SequenceNode) and any(map(_is_encrypted, node.value))


def _as_read(node: yaml.Node) -> str:
    """Give a value as the engine hands it to the program.

    Its YAML is another than PyYAML's: yes, no, on and off are words there.
    """
    if not isinstance(node, yaml.ScalarNode):
        data = SafeConstructor().construct_document(node)
        return json.dumps(data, separators=(",", ":"), default=str)
    value = node.value
    if node.style or node.tag == _STRING:
        return value
    if value in _NULLS:
        return ""
    if value.lower() in ("true", "false"):
        return value.lower()
    if node.tag != _INTEGER or ":" in value:
        return value
    octal = re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", value.replace("_", ""))
    return str(int(octal, 0))


def _written(value: str) -> str:
    """Write a value as Pulumi does: in double quotes where it could be taken for another type."""
    is_text = SafeLoader("").resolve(yaml.ScalarNode, value, (True, False)) == _STRING
    if is_text and value.lower() not in ("y", "n") and _PLAIN.fullmatch(value):
        return value
    # As JSON, but for what YAML takes for no text at all.
    return _UNPRINTABLE.sub(
        lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False)
    )
