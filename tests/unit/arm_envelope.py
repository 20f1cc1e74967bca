"""What the Resource Manager itself reads of a template: all but the resources' own properties.

The rules are those of the published schema 2019-04-01/deploymentTemplate.json, and those that the
documentation has beside it: what may refer to what, and where.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.unit.arm_expressions import (
    Call,
    ExpressionError,
    Literal,
    calls,
    is_expression,
    parse,
)

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_PARTS = {"$schema", "contentVersion", "parameters", "variables", "resources", "outputs"}
_PARAMETER = {"type", "defaultValue", "allowedValues", "metadata"}
_BOUNDS = {
    "int": {"minValue", "maxValue"},
    "string": {"minLength", "maxLength"},
    "securestring": {"minLength", "maxLength"},
}
_TYPES = {"string": str, "securestring": str, "int": int, "bool": bool, "object": dict}
_LONGEST_EXPRESSION = 24576
_BEFORE_ANYTHING_IS_MADE = ("type", "apiVersion", "name", "location", "dependsOn", "condition")

Template = Mapping[str, Any]


def problems(template: Template) -> Iterator[str]:
    """Say what the Resource Manager would refuse of a template."""
    for name in _PARTS ^ set(template):
        yield f"{name!r} is missing, or is no part of a template"
    if _PARTS - set(template):
        return
    if template["$schema"] != SCHEMA:
        yield f"$schema is {template['$schema']!r}"
    if not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", template["contentVersion"]):
        yield "contentVersion is not four numbers"
    for name, parameter in template["parameters"].items():
        yield from _of_parameter(name, parameter)
    for name, output in template["outputs"].items():
        if set(output) != {"type", "value"} or output["type"] not in _TYPES:
            yield f"output {name}: has to have a type and a value"
    yield from _of_expressions(template)
    yield from _of_dependencies(template)


def _of_parameter(name: str, parameter: Mapping[str, Any]) -> Iterator[str]:
    kind = parameter.get("type", "")
    if kind not in _TYPES:
        yield f"parameter {name}: {kind!r} is no type"
        return
    for key in set(parameter) - _PARAMETER - _BOUNDS.get(kind, set()):
        yield f"parameter {name}: {key!r} is nothing that {kind} has"
    default = parameter.get("defaultValue")
    if default is None or is_expression(default):
        return
    if type(default) is not _TYPES[kind]:
        yield f"parameter {name}: its default {default!r} is no {kind}"
    elif kind == "int" and not (
        parameter.get("minValue", default) <= default <= parameter.get("maxValue", default)
    ):
        yield f"parameter {name}: its default {default} is out of its bounds"


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{where}[{number}]")
    elif is_expression(value):
        yield where, value


def _of_expressions(template: Template) -> Iterator[str]:
    used: set[tuple[str, str]] = set()
    for where, text in _texts(dict(template), ""):
        if len(text) > _LONGEST_EXPRESSION:
            yield f"{where}: longer than {_LONGEST_EXPRESSION}"
        try:
            found = list(calls(parse(text)))
        except ExpressionError as error:
            yield f"{where}: {error}"
            continue
        for call in found:
            yield from _of_call(call, where, template)
            if call.name in ("parameters", "variables"):
                used.add((call.name, _first_text(call)))
    for part in ("parameters", "variables"):
        for name in template[part]:
            if (part, name) not in used:
                yield f"{part}.{name} is used by nothing"


def _of_call(call: Call, where: str, template: Template) -> Iterator[str]:
    name = _first_text(call)
    if call.name in ("parameters", "variables") and name not in template[call.name]:
        yield f"{where}: there is no {name!r} in {call.name}"
    if call.name == "resourceId" and _named(call) not in _made(template):
        yield f"{where}: {'/'.join(_named(call))} is not made here"
    if call.name != "reference":
        return
    early = re.match(r"\.(variables|parameters)\b", where) or any(
        re.match(rf"\.resources\[\d+\]\.{part}\b", where) for part in _BEFORE_ANYTHING_IS_MADE
    )
    if early:
        yield f"{where}: reference() cannot stand here"


def _first_text(call: Call) -> str:
    match call.arguments:
        case (Literal(value), *_):
            return str(value)
        case _:
            return ""


def _named(call: Call) -> tuple[str, ...]:
    return tuple(str(part.value) if isinstance(part, Literal) else "" for part in call.arguments)


def _made(template: Template) -> set[tuple[str, ...]]:
    """Give the type and names of every resource, and of the subnets that stand in their network."""
    found: set[tuple[str, ...]] = set()
    for resource in template["resources"]:
        kind, name = resource.get("type", ""), resource.get("name", "")
        found.add((kind, name))
        for subnet in resource.get("properties", {}).get("subnets", []):
            found.add((f"{kind}/subnets", name, subnet.get("name", "")))
    return found


def _of_dependencies(template: Template) -> Iterator[str]:
    """What a resource names by its identifier has to be made before it, without a circle."""
    waits: dict[str, set[str]] = {}
    for resource in template["resources"]:
        kind = resource.get("type", "")
        said = {_type_of(text) for text in resource.get("dependsOn", [])}
        # `reference()` is a dependency by itself.
        named = {_type_of(text) for _, text in _texts(resource["properties"], "")} - {""}
        for missing in sorted(named - said):
            yield f"{kind} does not wait for {missing}"
        waits[kind] = said
    done: set[str] = set()
    while ready := {kind for kind in waits.keys() - done if waits[kind] <= done}:
        done |= ready
    for kind in sorted(waits.keys() - done):
        yield f"{kind} waits for itself, or for nothing that is made"


def _type_of(text: str) -> str:
    """Give the type of an identifier, of the network for a subnet's; empty for what is none."""
    try:
        node = parse(text)
    except ExpressionError:
        return ""
    if not (isinstance(node, Call) and node.name == "resourceId"):
        return ""
    return "/".join(_first_text(node).split("/")[:2])
