"""The schemas of what `occ --json` prints: schemas/*.schema.json, made of the dataclasses."""

import dataclasses
import json
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from opencode_cloud.ops import (
    archive,
    backup,
    mounts,
    points,
    secrets,
    stack_change,
    stack_overview,
    status,
    update,
    users,
)
from opencode_cloud.ops.doctor import Report
from opencode_cloud.ops.hosts import reports
from opencode_cloud.spec import cost, fleet


@dataclasses.dataclass(frozen=True)
class BackupMade(backup.Backup):
    """A backup, and the older ones that went for it."""

    removed: list[str] = dataclasses.field(default_factory=list)
    """Their paths or URLs."""


@dataclasses.dataclass(frozen=True)
class BackupVerified(archive.Manifest):
    """What is in a backup that is sound."""

    where: str
    """Its path or URL."""


OUTPUTS: dict[str, tuple[str, Any]] = {
    "status": ("occ status", status.Status),
    "doctor": ("occ doctor", Report),
    "version": ("occ version", status.Versions),
    "user-list": ("occ user list", list[users.User]),
    "cost": ("occ cost", cost.Estimate),
    "config-show": ("occ config show", stack_overview.Overview),
    "config-get": ("occ config get KEY", stack_overview.Row),
    "config-change": ("occ config set, config unset and config edit", stack_change.Written),
    "update": ("occ update", update.Updated),
    "update-check": ("occ update --check", update.Check),
    "update-points": ("occ update --points", list[points.Summary]),
    "host-list": ("occ host list", list[reports.Listed]),
    "host-show": ("occ host show NAME", reports.Shown),
    "host-test": ("occ host test NAME", reports.Tested),
    "env-list": ("occ env list", dict[str, str]),
    "secret-list": ("occ secret list", list[secrets.Secret]),
    "mount-list": ("occ mount list", list[mounts.Standing]),
    "backup-create": ("occ backup create", BackupMade),
    "backup-list": ("occ backup list", list[backup.Backup]),
    "backup-verify": ("occ backup verify FILE", BackupVerified),
    "side-by-side": ("occ --all COMMAND", dict[str, fleet.Ended]),
    "backup-schedule": ("occ backup schedule --show", dict[str, str] | None),
}
"""By the schema's name: the commands, and what they write."""

_CONFIG = ConfigDict(use_attribute_docstrings=True, extra="forbid")


def schema(name: str) -> dict[str, Any]:
    """Make a schema from the dataclasses and what is written below their fields."""
    commands, printed = OUTPUTS[name]
    for part in set(_parts(printed)):
        # Read by pydantic, which is slow to load, so that the classes themselves do without it.
        part.__pydantic_config__ = _CONFIG
    made = TypeAdapter(printed).json_schema(mode="serialization")
    for part in (made, *made.get("$defs", {}).values()):
        # Whatever is not known is written as null or empty, and never left out.
        if "properties" in part:
            part["required"] = list(part["properties"])
    titled = {**made, "title": f"What `{commands} --json` prints"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **titled}


def as_text(name: str) -> str:
    """Write a schema as its file has it."""
    return json.dumps(schema(name), indent=2) + "\n"


def _parts(printed: Any) -> Iterator[Any]:
    """Give every dataclass that is part of what is printed."""
    for inner in typing.get_args(printed):
        yield from _parts(inner)
    if not (isinstance(printed, type) and dataclasses.is_dataclass(printed)):
        return
    yield printed
    for hint in typing.get_type_hints(printed).values():
        yield from _parts(hint)
