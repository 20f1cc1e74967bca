"""Write what is derived from the code: ``python -m opencode_cloud.derive``.

Committed texts that say again what ``settings.py`` and the commands of ``occ`` say are
made here, and a test makes them again.
"""

import json
import re
from collections.abc import Callable
from enum import StrEnum
from lzma import LZMAError
from pathlib import Path
from typing import Any

import yaml

from opencode_cloud.cli.docs import reference
from opencode_cloud.cloud_settings import CLOUD_DEFAULTS, CLOUDS, Target
from opencode_cloud.configuration import as_config
from opencode_cloud.environment import ENV, SECRET
from opencode_cloud.json_schemas import OUTPUTS, as_text
from opencode_cloud.setting_error import NAMESPACE
from opencode_cloud.settings import Settings
from opencode_cloud.spec import cost_tables
from opencode_cloud.spec.buttons import arm, cloudformation, filled_in, pulumi_project
from opencode_cloud.spec.cloud_config import unpacked

PULUMI_TYPES = {"integer": "integer", "boolean": "boolean", "string": "string"}
"""JSON schema's types that a Pulumi project can declare, by Pulumi's names."""


_ENCRYPTED = "A secret for opencode. `occ secret set` writes it."
_TEXT = {"type": "string"}
_PLAIN = "A variable for opencode, and nothing secret. `occ env set` writes it."


def _properties() -> dict[str, dict[str, Any]]:
    schema = Settings.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolve(field: dict[str, Any]) -> dict[str, Any]:
        reference = field.get("$ref", "").removeprefix("#/$defs/")
        return {**definitions.get(reference, {}), **field}

    return {key: resolve(field) for key, field in schema["properties"].items()}


def project_config() -> dict[str, dict[str, Any]]:
    """Make the ``config:`` block of ``Pulumi.yaml``.

    What has another default on a rented machine is not in it: Pulumi would fill the default
    in, and what nobody set could not be told from what somebody did. Nor is what has to be
    encrypted, as Pulumi would want the default to be.
    """
    return {
        key: {
            "type": PULUMI_TYPES[field["type"]],
            "description": field["description"],
            "default": field["default"],
        }
        for key, field in _properties().items()
        if key not in CLOUD_DEFAULTS and not field.get("writeOnly")
    }


def stack_schema() -> dict[str, Any]:
    """Make the JSON schema of a ``Pulumi.<stack>.yaml``.

    ``pulumi config set`` writes every value as a string, so that each number and
    boolean may stand as one too.
    """
    properties = {
        f"{NAMESPACE}:{key}": _accepting_text(field) | _encrypted(field)
        for key, field in _properties().items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An opencode-cloud stack",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": properties,
                "patternProperties": {
                    f"^{ENV}:": {
                        "type": ["string", "number", "boolean", "null"],
                        "description": _PLAIN,
                    },
                    f"^{SECRET}:": _secret(),
                    # Other packages' keys are theirs to check.
                    f"^(?!({NAMESPACE}|{ENV}|{SECRET}):)": {},
                },
                "additionalProperties": False,
            }
        },
    }


def _encrypted(field: dict[str, Any]) -> dict[str, Any]:
    """Make a sensitive setting one that has to be encrypted."""
    if not field.get("writeOnly"):
        return {}
    return {"type": ["object", "string"], "anyOf": [_closed({"secure": _TEXT}), {"const": ""}]}


def _secret() -> dict[str, Any]:
    """Make the schema of a secret: encrypted, with or without when it was set."""
    encrypted = _closed({"secure": _TEXT})
    whole = _closed({"set": {"type": "string"}, "value": encrypted})
    return {"anyOf": [encrypted, whole], "description": _ENCRYPTED}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _accepting_text(field: dict[str, Any]) -> dict[str, Any]:
    plain = {
        key: value
        for key, value in field.items()
        if key not in ("$ref", "title", "description", "default")
    }
    about = {"description": field["description"], "default": field["default"]}
    text = {"integer": "^[0-9]+$", "boolean": "^(true|false)$"}.get(field["type"])
    if not text:
        return about | plain
    return about | {"anyOf": [plain, {"type": "string", "pattern": text}]}


def settings_table() -> str:
    """Make the table of ``docs/settings.md``."""
    rows = ["| setting | default | meaning |", "| - | - | - |"]
    for key, field in Settings.model_fields.items():
        default = as_config(field.default)
        rows.append(
            f"| `{NAMESPACE}:{key}` | {f'`{default}`' if default else ''} "
            f"| {field.description}{_bounds(field.annotation, field.metadata)} |"
        )
    return "\n".join(rows) + "\n"


def _bounds(kind: Any, metadata: list[Any]) -> str:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " One of " + ", ".join(f"`{member}`" for member in kind) + "."
    least = [str(bound.ge) for bound in metadata if hasattr(bound, "ge")]
    most = [str(bound.le) for bound in metadata if hasattr(bound, "le")]
    if least and most:
        return f" {least[0]} to {most[0]}."
    return f" At least {least[0]}." if least else ""


def _between_markers(text: str, block: str, what: str = "settings") -> str:
    pattern = re.compile(
        rf"(^\S* ?begin: {what}.*?\n).*?(^\S* ?end: {what})", re.DOTALL | re.MULTILINE
    )
    return pattern.sub(lambda match: match[1] + block + match[2], text)


def _pulumi_yaml(text: str) -> str:
    block = yaml.safe_dump({"config": project_config()}, sort_keys=False, width=100)
    return _between_markers(text, block)


def _settings_page(text: str) -> str:
    return _between_markers(text, "\n" + settings_table() + "\n")


def _stack_schema_file(_: str) -> str:
    return json.dumps(stack_schema(), indent=2) + "\n"


def _commands_page(_: str) -> str:
    return reference()


def _output_schema(name: str) -> Callable[[str], str]:
    return lambda _: as_text(name)


def _costs_page(provider: Target) -> Callable[[str], str]:
    def make(text: str) -> str:
        text = _between_markers(text, f"\n{cost_tables.table(provider)}\n", "cost")
        return _between_markers(text, f"\n{cost_tables.comparison()}\n", "comparison")

    return make


def _button(render: Callable[[Path], str]) -> Callable[[str], str]:
    return lambda _: render(Path())


def _project(provider: Target) -> Callable[[str], str]:
    return lambda _: pulumi_project.project(provider)


def _user_data(provider: Target) -> Callable[[str], str]:
    return lambda _: filled_in.user_data(provider, Path())


DERIVED: dict[str, Callable[[str], str]] = {
    "Pulumi.yaml": _pulumi_yaml,
    "docs/cli.md": _commands_page,
    "docs/settings.md": _settings_page,
    "schemas/stack.schema.json": _stack_schema_file,
    "deploy/aws/cloudformation.yaml": _button(cloudformation.template),
    "deploy/azure/mainTemplate.json": _button(arm.template),
    "deploy/azure/createUiDefinition.json": lambda _: arm.form(),
    "deploy/digitalocean/user-data": _user_data(Target.DIGITALOCEAN),
    "deploy/fields.json": lambda _: filled_in.fields(),
    "deploy/gcp/user-data": _user_data(Target.GCP),
    **{f"docs/deploy/{provider}.md": _costs_page(provider) for provider in CLOUDS},
    **{f"templates/{provider}/Pulumi.yaml": _project(provider) for provider in CLOUDS},
    **{f"schemas/{name}.schema.json": _output_schema(name) for name in OUTPUTS},
}
"""Each derived file, and how its text is made from the text it has."""


def is_stale(text: str, make: Callable[[str], str]) -> bool:
    """Say whether a derived text is other than what is made of it.

    The same files, packed by another machine's liblzma, are no change.
    """
    made = make(text)
    try:
        return made != text and unpacked(made) != unpacked(text)
    except (LZMAError, ValueError):
        # Whatever it was, it is whole no more.
        return True


def main() -> None:
    """Write every derived file that is stale, below the current folder."""
    for name, make in DERIVED.items():
        path = Path(name)
        text = path.read_text() if path.exists() else ""
        if is_stale(text, make):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(make(text))
            print(f"made {name}")


if __name__ == "__main__":
    main()
