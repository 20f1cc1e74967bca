"""Every setting of a stack as it stands."""

from dataclasses import dataclass
from typing import Literal

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import Problem
from opencode_cloud.configuration import default as setting_default
from opencode_cloud.ops.setting_names import typed
from opencode_cloud.ops.stack_change import problems_of
from opencode_cloud.ops.stack_document import Document
from opencode_cloud.settings import Settings


@dataclass(frozen=True)
class Row:
    """One setting as it stands."""

    key: str
    value: str | int | bool | None
    """``None``: encrypted."""
    source: Literal["stack", "default"]
    default: str | int | bool | None
    """``None``: it is not a setting."""
    description: str


@dataclass(frozen=True)
class Overview:
    """Every setting of one stack, and what is wrong with them."""

    stack: str
    file: str
    settings: list[Row]
    problems: list[Problem]


def overview(document: Document, stack: str) -> Overview:
    """Give every setting of the model, then what else is in the file."""
    unknown = [name for name in document.entries if name not in Settings.model_fields]
    rows = [row(document, name) for name in [*Settings.model_fields, *unknown]]
    return Overview(stack, document.name, rows, problems_of(document, stack))


def row(document: Document, name: str) -> Row:
    """Give one setting as it stands."""
    field = Settings.model_fields.get(name)
    target = document.entries.get("target")
    place = target.value if target else Target.LOCAL
    standard = setting_default(name, place) if field else None
    description = field.description or "" if field else "Not a setting."
    entry = document.entries.get(name)
    if not entry:
        return Row(name, standard, "default", standard, description)
    value = None if entry.encrypted else typed(name, entry.value)
    return Row(name, value, "stack", standard, description)
