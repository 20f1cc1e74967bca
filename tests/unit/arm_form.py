"""The form in front of Azure's template: what the portal takes, and what its outputs are.

The facts are those of the published 0.1.2-preview/CreateUIDefinition.MultiVm.json and of the pages
on each element: what an element has to have, and what it may.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

SCHEMA = (
    "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#"
)
_STEP = {"name", "label", "subLabel", "bladeTitle", "elements"}
_BOX = {"required", "regex", "validationMessage"}
_MAY = {"toolTip", "visible"}
ELEMENTS: Mapping[str, tuple[set[str], set[str], set[str]]] = {
    "Microsoft.Common.TextBox": ({"label"}, {"defaultValue", "constraints"}, _BOX),
    "Microsoft.Common.PasswordBox": ({"label"}, {"options", "constraints"}, _BOX),
    "Microsoft.Common.DropDown": (
        {"label", "constraints"},
        {"defaultValue"},
        {"allowedValues", "required"},
    ),
    "Microsoft.Compute.SizeSelector": (
        {"label", "recommendedSizes", "osPlatform"},
        {"options", "imageReference", "count", "constraints"},
        {"allowedSizes", "excludedSizes"},
    ),
}
"""By the type of an element: what it has to have, what it may, and what its constraints may."""


def problems(form: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[str]:
    """Say what the portal, or the template behind it, would refuse of a form."""
    if set(form) != {"$schema", "handler", "version", "parameters"}:
        yield f"the form has {sorted(form)}"
        return
    said = (form["$schema"], form["handler"], form["version"])
    if said != (SCHEMA, "Microsoft.Azure.CreateUIDef", "0.1.2-preview"):
        yield f"the form is {said}"
    parameters = form["parameters"]
    if set(parameters) != {"basics", "steps", "outputs"}:
        yield f"parameters has {sorted(parameters)}"
    for step in parameters["steps"]:
        if set(step) != _STEP or set(step["subLabel"]) != {"preValidation", "postValidation"}:
            yield f"the step has {sorted(step)}"
        for element in step["elements"]:
            yield from _of_element(element)
    yield from _of_outputs(parameters, template["parameters"])


def _of_element(element: Mapping[str, Any]) -> Iterator[str]:
    kind, name = element.get("type", ""), element.get("name")
    if kind not in ELEMENTS:
        yield f"{name}: {kind!r} is no element that is known"
        return
    required, optional, constraints = ELEMENTS[kind]
    required = required | {"name", "type"}
    for missing in required - set(element):
        yield f"{name}: {missing} is missing"
    for unknown in set(element) - required - optional - _MAY:
        yield f"{name}: {kind} has no {unknown}"
    given = element.get("constraints", {})
    for unknown in set(given) - constraints:
        yield f"{name}: the constraints of {kind} have no {unknown}"
    if kind.endswith("PasswordBox") and set(element["label"]) != {"password", "confirmPassword"}:
        yield f"{name}: its label has to be two"
    if kind.endswith("DropDown") and element.get("defaultValue") not in (
        offered["label"] for offered in given["allowedValues"]
    ):
        yield f"{name}: its default is not among what it offers"
    if "regex" in given:
        yield from _of_pattern(f"{name}", given["regex"], element.get("defaultValue"))


def _of_pattern(name: str, pattern: str, default: str | None) -> Iterator[str]:
    if pattern.startswith("["):
        yield f"{name}: the portal takes {pattern!r} for an expression"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        yield f"{name}: {pattern!r} is no pattern: {error}"
        return
    if default is not None and not compiled.search(default):
        yield f"{name}: refuses its own default"


def _of_outputs(form: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[str]:
    elements = {
        f"steps('{step['name']}').{element['name']}": element
        for step in form["steps"]
        for element in step["elements"]
    }
    for name, value in form["outputs"].items():
        if name not in parameters:
            yield f"the template has no parameter {name}"
            continue
        kind = parameters[name]["type"]
        inner = re.fullmatch(r"\[(?:int\((?P<number>.+)\)|(?P<text>.+))\]", value)
        read = (inner["number"] or inner["text"]) if inner else ""
        if read == "location()":
            continue
        if read not in elements:
            yield f"output {name}: {value} reads no element"
            continue
        element = elements.pop(read)
        if bool(inner and inner["number"]) != (kind == "int"):
            yield f"output {name}: {value} is no {kind}"
        if element["type"].endswith("PasswordBox") != (kind == "securestring"):
            yield f"output {name}: {kind} is asked by {element['type']}"
    for name, parameter in parameters.items():
        if "defaultValue" not in parameter and name not in form["outputs"]:
            yield f"nothing gives {name}, which has no default"
    for read in elements:
        yield f"{read} is asked for nothing"
