"""The schema of `occ status --json`: `python -m opencode_cloud.ops.status_schema` prints it."""

import json
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from opencode_cloud.ops import status
from opencode_cloud.ops.users import User

_PARTS = (
    *(status.Status, status.Versions, status.Provenance, status.Mount, status.Certificate),
    *(status.Security, status.Resources, User),
)


def schema() -> dict[str, Any]:
    """Make it from the dataclasses and what is written below their fields."""
    config = ConfigDict(use_attribute_docstrings=True, extra="forbid")
    for part in _PARTS:
        # Read by pydantic, which is slow to load, so that the classes themselves do without it.
        part.__pydantic_config__ = config  # type: ignore[attr-defined] - pydantic's own protocol
    made = TypeAdapter(status.Status).json_schema(mode="serialization")
    for part in (made, *made["$defs"].values()):
        # Whatever is not known is written as null or empty, and never left out.
        part["required"] = list(part["properties"])
    titled = {**made, "title": "What `occ status --json` prints"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **titled}


def as_text() -> str:
    """Write it as schemas/status.schema.json has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(as_text(), end="")
