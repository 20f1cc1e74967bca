"""Azure's template, against the types of its API and the rules of its Resource Manager."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.machine_sizes import is_arm
from tests.program.clouds import HASH, IMAGE, KEY
from tests.unit import arm_envelope, arm_types
from tests.unit.arm_expressions import ExpressionError, evaluate, parse
from tests.unit.arm_parts import Document, changed, conf, read

GIVEN = {
    "sshPublicKey": KEY,
    "sshFrom": "198.51.100.0/24",
    "firstUser": "ada",
    "passwordHash": HASH,
    "image": IMAGE,
    "domain": "",
}
MADE = {"Microsoft.Network/publicIPAddresses:opencode": {"ipAddress": "203.0.113.7"}}


@pytest.fixture(scope="module")
def azure(root: Path) -> Document:
    return read(root, "mainTemplate.json")


def problems(template: Document) -> list[str]:
    parameters = template["parameters"]
    found = list(arm_envelope.problems(template))
    for resource in template["resources"]:
        found += arm_types.problems(resource, parameters)
    return found


def resources(template: Document) -> Document:
    return {resource["type"].rpartition("/")[2]: resource for resource in template["resources"]}


def made(template: Document, **given: str) -> Document:
    """Give each resource as the Resource Manager makes it of what was said."""
    return resources(evaluate(template, template, {**GIVEN, **given}, MADE))


def user_data(template: Document, **given: str) -> str:
    profile = made(template, **given)["virtualMachines"]["properties"]["osProfile"]
    return base64.b64decode(profile["customData"]).decode()


def test_the_template_is_what_azures_api_and_its_resource_manager_take(azure: Document):
    assert problems(azure) == []


MACHINE = "resources/5/properties"
WRONG = {
    "a name that no property has": (
        f"{MACHINE}/osProfile/userName",
        "ada",
        "OSProfile has no property 'userName'",
    ),
    "a property that only the API writes": (
        "resources/4/properties/diskState",
        "Unattached",
        "no property 'diskState' that can be written",
    ),
    "one that is required and missing": (
        f"{MACHINE}/storageProfile/osDisk/createOption",
        None,
        "'createOption' is missing",
    ),
    "a missing location": ("resources/2/location", None, "location is missing"),
    "a value that the enum has not": (
        "resources/0/properties/securityRules/0/properties/protocol",
        "tcpp",
        "'tcpp' is none of",
    ),
    "a number as text": (
        "resources/0/properties/securityRules/0/properties/priority",
        "100",
        "'100' is no int",
    ),
    "a text parameter where a number has to be": (
        "resources/4/properties/diskSizeGB",
        "[parameters('size')]",
        "gives str, not int",
    ),
    "an object where a list has to be": (
        f"{MACHINE}/networkProfile/networkInterfaces",
        {},
        "{} is no list",
    ),
    "another version of the API": ("resources/4/apiVersion", "2023-01-02", "the types are of"),
    "a type that there is not": (
        "resources/3/type",
        "Microsoft.Network/networkInterface",
        "is no type of resource",
    ),
    "a part that no template has": ("resource", [], "is no part of a template"),
    "a version of three numbers": ("contentVersion", "1.0.0", "is not four numbers"),
    "a type of parameter that there is not": ("parameters/size/type", "text", "'text' is no type"),
    "an attribute that a parameter has not": (
        "parameters/size/default",
        "x",
        "'default' is nothing that string has",
    ),
    "a default out of its bounds": ("parameters/dataDiskGb/defaultValue", 5, "out of its bounds"),
    "a parameter that is used by nothing": (
        "parameters/spare",
        {"type": "string"},
        "parameters.spare is used by nothing",
    ),
    "a parameter that there is not": (
        f"{MACHINE}/hardwareProfile/vmSize",
        "[parameters('sise')]",
        "there is no 'sise' in parameters",
    ),
    "a resource that is not made": (
        f"{MACHINE}/networkProfile/networkInterfaces/0/id",
        "[resourceId('Microsoft.Network/networkInterfaces', 'other')]",
        "other is not made here",
    ),
    "a resource that is not waited for": (
        "resources/5/dependsOn",
        ["[resourceId('Microsoft.Compute/disks', 'opencode')]"],
        "does not wait for Microsoft.Network/networkInterfaces",
    ),
    "a circle": (
        "resources/0/dependsOn",
        ["[resourceId('Microsoft.Network/virtualNetworks', 'opencode')]"],
        "waits for itself",
    ),
    "what is known too late": (
        "variables/tls",
        "[reference(resourceId('Microsoft.Compute/disks', 'opencode')).id]",
        "reference() cannot stand here",
    ),
    "an output without a type": ("outputs/url/type", None, "has to have a type and a value"),
}


@pytest.mark.parametrize(("path", "value", "found"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_template_is_found(azure: Document, path: str, value: Any, found: str):
    assert any(found in problem for problem in problems(changed(azure, path, value)))


@pytest.mark.parametrize(
    "text",
    [
        "[parameters('a')",
        "[parameters('a'))]",
        "[parameters('a', 'b')]",
        "[parametres('a')]",
        "[replace('a', 'b')]",
        "[concat('a' 'b')]",
        "[concat('a', )]",
        "['a]",
        "[resourceGroup().]",
        "[]",
    ],
)
def test_an_expression_that_cannot_be_read_is_found(text: str):
    with pytest.raises(ExpressionError):
        parse(text)


def test_an_expression_gives_what_the_resource_manager_gives():
    template: Document = {"parameters": {"a": {"defaultValue": "[concat('it''s', ' me')]"}}}
    text = "[if(empty(parameters('a')), 'none', replace(parameters('a'), 'me', 'you'))]"
    assert evaluate(text, template, {}, {}) == "it's you"
    assert evaluate(text, template, {"a": ""}, {}) == "none"


def test_azures_machine_is_told_what_was_typed(azure: Document):
    told = user_data(azure)
    assert not re.search("@[A-Z_]+@", told)
    assert yaml.safe_load(told)["users"][0]["ssh_authorized_keys"] == [KEY]
    lines = conf(told)
    assert lines["FIRST_USER"] == "ada"
    assert lines["FIRST_USER_HASH"] == HASH
    assert lines["IMAGE"] == IMAGE
    assert lines["ADDRESS"] == "203.0.113.7"
    assert lines["SSH_FROM"] == "198.51.100.0/24"
    assert lines["TLS"] == "sslip"
    assert conf(user_data(azure, domain="a.example.org"))["TLS"] == "a.example.org"
    assert len(base64.b64encode(told.encode())) < 87380


def test_azures_outputs_say_where_it_answers(azure: Document):
    def outputs(**given: str) -> dict[str, str]:
        shown = evaluate(azure["outputs"], azure, {**GIVEN, **given}, MADE)
        return {name: output["value"] for name, output in shown.items()}

    assert outputs() == {
        "url": "https://203-0-113-7.sslip.io",
        "address": "203.0.113.7",
        "ssh": "ssh opencode@203.0.113.7",
    }
    assert outputs(domain="a.example.org")["url"] == "https://a.example.org"


@pytest.mark.parametrize(
    "size",
    [
        "Standard_B2als_v2",
        "Standard_B2s",
        "Standard_D2s_v5",
        "Standard_DC2ads_v5",
        "Standard_NP10s",
        "Standard_B2pls_v2",
        "Standard_B2pts_v2",
        "Standard_D2ps_v5",
        "Standard_E4pds_v6",
    ],
)
def test_azures_image_is_of_the_machines_architecture(azure: Document, size: str):
    profile = made(azure, size=size)["virtualMachines"]["properties"]["storageProfile"]
    wanted = "13-arm64" if is_arm(Target.AZURE, size) else "13-gen2"
    assert profile["imageReference"]["sku"] == wanted


def test_azure_shows_the_hash_to_nobody_and_opens_ssh_to_nobody_by_silence(azure: Document):
    assert azure["parameters"]["passwordHash"]["type"] == "securestring"
    assert HASH not in json.dumps(evaluate(azure["outputs"], azure, GIVEN, MADE))
    without_default = {n for n, field in azure["parameters"].items() if "defaultValue" not in field}
    assert without_default == {"sshPublicKey", "sshFrom", "passwordHash", "image"}
    rules = made(azure)["networkSecurityGroups"]["properties"]["securityRules"]
    opened = {
        rule["properties"]["destinationPortRange"]: rule["properties"]["sourceAddressPrefix"]
        for rule in rules
    }
    assert opened == {"443": "*", "80": "*", "22": "198.51.100.0/24"}


def test_azure_takes_a_template_of_this_size(azure: Document):
    # learn.microsoft.com/azure/azure-resource-manager/templates/best-practices
    assert len(azure["parameters"]) <= 256
    assert len(json.dumps(azure)) < 4 * 1024 * 1024
