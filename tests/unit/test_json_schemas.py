import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter

from opencode_cloud.json_schemas import OUTPUTS, as_text


@pytest.mark.parametrize("name", OUTPUTS)
def test_each_output_has_a_schema_that_is_its_dataclasses_own(name: str, root: Path):
    assert (root / f"schemas/{name}.schema.json").read_text() == as_text(name)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_schema_is_one_and_explains_what_it_has(name: str):
    schema: dict[str, Any] = json.loads(as_text(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"].startswith("What `occ ")
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_nobody_writes_is_refused(name: str):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{"what": 1}], json.loads(as_text(name)))
    assert TypeAdapter(OUTPUTS[name][1])
