"""The types of Azure's resources, from the models that its SDK has of its API's specification.

The SDK is generated from the same specifications as the schemas that Azure publishes for its
templates: names on the wire, which are required, which are read-only, and the values of enums.
"""

import types
import typing
from collections.abc import Iterator, Mapping
from enum import EnumMeta
from importlib import import_module
from typing import Any

from tests.unit.arm_expressions import Call, ExpressionError, Literal, is_expression, parse

KINDS: Mapping[str, tuple[str, str, str]] = {
    "Microsoft.Compute/disks": ("compute", "Disk", "disks"),
    "Microsoft.Compute/virtualMachines": ("compute", "VirtualMachine", "virtual_machines"),
    "Microsoft.Network/networkInterfaces": ("network", "NetworkInterface", "network_interfaces"),
    "Microsoft.Network/networkSecurityGroups": (
        "network",
        "NetworkSecurityGroup",
        "network_security_groups",
    ),
    "Microsoft.Network/publicIPAddresses": (
        "network",
        "PublicIPAddress",
        "public_ip_addresses",
    ),
    "Microsoft.Network/virtualNetworks": ("network", "VirtualNetwork", "virtual_networks"),
}
"""By the type of a resource: the SDK's package, model and group of operations."""

_ENVELOPE = ("type", "apiVersion", "name", "dependsOn", "condition", "comments")
"""What the Resource Manager itself reads of a resource."""


def problems(resource: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[str]:
    """Say what of a template's resource its API would refuse."""
    kind = resource.get("type", "")
    if kind not in KINDS:
        yield f"{kind!r} is no type of resource that is known"
        return
    package, model, operations = KINDS[kind]
    # The API refuses the read-only name in a body; the template says it beside the body.
    body = {key: value for key, value in resource.items() if key not in _ENVELOPE}
    yield from _of_model(body, _models(package)[model], kind, parameters)
    version = api_version(package, operations)
    if resource.get("apiVersion") != version:
        yield f"{kind}: apiVersion is {resource.get('apiVersion')}, and the types are of {version}"
    for required in ("name", "location"):
        if not isinstance(resource.get(required), str):
            yield f"{kind}: {required} is missing"


def api_version(package: str, operations: str) -> str:
    """Give the version of the API that the models are of."""
    module: Any = import_module(f"azure.mgmt.{package}.operations._operations")
    build = getattr(module, f"build_{operations}_create_or_update_request")
    names = [name for name in build.__annotations__ if name not in ("kwargs", "return")]
    return build(**dict.fromkeys(names, "x")).url.rpartition("api-version=")[2]


def _models(package: str) -> dict[str, Any]:
    module: Any = import_module(f"azure.mgmt.{package}.models")
    return {**vars(module), "_models": module}


def _of_model(value: Any, model: Any, where: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no object ({model.__name__})"
        return
    fields = _fields(model)
    for name, inner in value.items():
        if name not in fields:
            yield f"{where}: {model.__name__} has no property {name!r} that can be written"
            continue
        yield from _of_type(inner, fields[name], f"{where}.{name}", parameters)
    for name, hint in fields.items():
        if name not in value and types.NoneType not in typing.get_args(hint):
            yield f"{where}: {name!r} is missing"


def _fields(model: Any) -> dict[str, Any]:
    """Give the type of each property that can be written, by its name on the wire."""
    model()  # The SDK names its fields when a model is first made.
    package = model.__module__.split(".")[2]
    hints = typing.get_type_hints(model, _models(package))
    return {
        field._rest_name: hints[attribute]
        for attribute, field in model._attr_to_rest_field.items()
        if {"create", "update"} & set(field._visibility or ["create"])
    }


def _of_type(value: Any, hint: Any, where: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        enums = [kind for kind in kinds if isinstance(kind, EnumMeta)]
        yield from _of_type(value, (enums or kinds)[0], where, parameters)
        return
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            yield f"{where}: {value!r} is no list"
            return
        for number, item in enumerate(value):
            yield from _of_type(item, kinds[0], f"{where}[{number}]", parameters)
        return
    if typing.get_origin(hint) is dict:
        for name, item in value.items():
            yield from _of_type(item, kinds[1], f"{where}.{name}", parameters)
        return
    if isinstance(hint, type) and issubclass(hint, Mapping):
        yield from _of_model(value, hint, where, parameters)
        return
    yield from _scalar(value, hint, where, parameters)


def _scalar(value: Any, hint: Any, where: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    if is_expression(value):
        found = _type_of_expression(value, parameters)
        wanted = str if isinstance(hint, EnumMeta) else hint
        if found is not wanted:
            yield f"{where}: {value} gives {found.__name__}, not {wanted.__name__}"
        return
    if isinstance(hint, EnumMeta):
        values = [member.value for member in typing.cast("Any", hint)]
        if value not in values:
            yield f"{where}: {value!r} is none of {', '.join(map(str, values))}"
        return
    if type(value) is not hint:
        yield f"{where}: {value!r} is no {hint.__name__}"


def _type_of_expression(text: str, parameters: Mapping[str, Any]) -> type:
    """Give what an expression gives: what its parameter is, else a text."""
    try:
        node = parse(text)
    except ExpressionError:
        return object
    match node:
        case Call("parameters", (Literal(name),)):
            kind = parameters.get(str(name), {}).get("type")
            return {"int": int, "bool": bool}.get(kind, str)
        case _:
            return str
