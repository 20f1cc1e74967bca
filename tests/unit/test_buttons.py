"""The buttons' templates: what can be told of them without their providers."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from opencode_cloud.cloud_settings import Target
from opencode_cloud.settings import Settings
from opencode_cloud.spec.buttons import arm
from opencode_cloud.spec.cloud_config import LIMITS
from tests.program.clouds import HASH, IMAGE, KEY

GIVEN = {
    "sshPublicKey": KEY,
    "sshFrom": "198.51.100.0/24",
    "firstUser": "ada",
    "passwordHash": HASH,
    "image": IMAGE,
    "domain": "",
}


@pytest.fixture(scope="module")
def azure(root: Path) -> dict[str, Any]:
    return json.loads((root / "deploy/azure/mainTemplate.json").read_text())


def resources(template: dict[str, Any]) -> dict[str, Any]:
    return {resource["type"].rpartition("/")[2]: resource for resource in template["resources"]}


def evaluated(template: dict[str, Any], given: dict[str, str], address: str) -> str:
    """Fill in the user-data as the Resource Manager does, by the template's own expressions."""
    variables = template["variables"]
    tls = given["domain"] or "sslip"
    text = variables["userData"]
    marks = re.findall(
        r"'(@[A-Z_]+@)', (?:parameters\('(\w+)'\)|variables\('tls'\))", variables["filledUserData"]
    )
    for mark, parameter in marks:
        text = text.replace(mark, given[parameter] if parameter else tls)
    custom = resources(template)["virtualMachines"]["properties"]["osProfile"]["customData"]
    assert "replace(variables('filledUserData'), '@ADDRESS@', reference(" in custom
    return text.replace("@ADDRESS@", address)


def conf(user_data: str) -> dict[str, str]:
    content = yaml.safe_load(user_data)["write_files"][0]["content"]
    return dict(line.split("=", 1) for line in content.strip().splitlines())


def test_azures_machine_is_told_what_was_typed(azure: dict[str, Any]):
    told = evaluated(azure, GIVEN, "203.0.113.7")
    assert not re.search("@[A-Z_]+@", told)
    assert yaml.safe_load(told)["users"][0]["ssh_authorized_keys"] == [KEY]
    lines = conf(told)
    assert lines["FIRST_USER_HASH"] == HASH
    assert lines["IMAGE"] == IMAGE
    assert lines["ADDRESS"] == "203.0.113.7"
    assert lines["TLS"] == "sslip"
    assert conf(evaluated(azure, {**GIVEN, "domain": "a.example.org"}, "x"))["TLS"] == (
        "a.example.org"
    )
    assert len(base64.b64encode(told.encode())) < 87380


def test_azures_template_names_only_what_it_declares(azure: dict[str, Any]):
    text = json.dumps(azure)
    assert set(re.findall(r"parameters\('(\w+)'\)", text)) == set(azure["parameters"])
    assert set(re.findall(r"variables\('(\w+)'\)", text)) == set(azure["variables"])
    made = {resource["type"] for resource in azure["resources"]}
    meant = set(re.findall(r"resourceId\('([\w./]+)'", text))
    assert meant - {"Microsoft.Network/virtualNetworks/subnets"} <= made


def test_azures_template_waits_for_what_it_refers_to(azure: dict[str, Any]):
    for resource in azure["resources"]:
        properties = json.dumps(resource["properties"])
        # `reference()` is a dependency by itself.
        needed = set(re.findall(r"\"\[resourceId\('([\w./]+)', 'opencode'\)\]\"", properties))
        waited = {re.findall(r"'([\w./]+)'", of)[0] for of in resource.get("dependsOn", [])}
        assert needed <= waited, resource["type"]


def test_azures_expressions_are_balanced_and_short_enough(azure: dict[str, Any]):
    def strings(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in strings(item)]
        if isinstance(value, list):
            return [text for item in value for text in strings(item)]
        return [value] if isinstance(value, str) else []

    # learn.microsoft.com/azure/azure-resource-manager/templates/best-practices
    for text in strings(azure):
        if text.startswith("["):
            assert text.endswith("]")
            assert text.count("(") == text.count(")")
            assert len(text) < 24576
    assert len(azure["parameters"]) <= 256
    assert len(json.dumps(azure)) < 4 * 1024 * 1024


def test_azure_shows_the_hash_to_nobody_and_opens_ssh_to_nobody_by_silence(azure: dict[str, Any]):
    assert azure["parameters"]["passwordHash"]["type"] == "securestring"
    without_default = {n for n, field in azure["parameters"].items() if "defaultValue" not in field}
    assert without_default == {"sshPublicKey", "sshFrom", "passwordHash", "image"}
    rules = resources(azure)["networkSecurityGroups"]["properties"]["securityRules"]
    opened = {
        rule["properties"]["destinationPortRange"]: rule["properties"]["sourceAddressPrefix"]
        for rule in rules
    }
    assert opened == {"443": "*", "80": "*", "22": "[parameters('sshFrom')]"}


def test_azures_form_gives_every_parameter_of_the_template(root: Path, azure: dict[str, Any]):
    form = json.loads((root / "deploy/azure/createUiDefinition.json").read_text())["parameters"]
    assert set(form["outputs"]) == set(azure["parameters"])
    elements = {element["name"] for step in form["steps"] for element in step["elements"]}
    shown = {name for name, value in form["outputs"].items() if f".{name}]" in value}
    assert shown == elements


def test_azures_form_accepts_what_is_right_and_refuses_what_is_not():
    wrong = {
        "sshPublicKey": "no key",
        "sshFrom": "everybody",
        "firstUser": "Root User",
        "passwordHash": "a password",
        "image": "opencode-cloud:latest",
        "domain": "https://a.example.org",
    }
    for name, (_, _, pattern) in arm.FIELDS.items():
        assert re.search(pattern, GIVEN[name]), name
        assert not re.search(pattern, wrong[name]), name


SCRIPTS = {"gcp": Target.GCP, "digitalocean": Target.DIGITALOCEAN}


def filled(root: Path, provider: str, **said: str) -> subprocess.CompletedProcess[str]:
    """What the script of a button makes of the user-data."""
    answers = {
        "SSH_PUBLIC_KEY": KEY,
        "SSH_FROM": "198.51.100.0/24",
        "FIRST_USER": "ada",
        "FIRST_USER_HASH": HASH,
        "IMAGE": IMAGE,
        "ADDRESS": "203.0.113.7",
        **said,
    }
    script = f'. deploy/ask.sh; ask_all; fill "deploy/{provider}/user-data"; url >&2'
    return subprocess.run(
        ["sh", "-euc", script],
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **answers},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("provider", SCRIPTS)
def test_the_scripts_tell_the_machine_what_was_said(provider: str, root: Path):
    done = filled(root, provider)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["users"][0]["ssh_authorized_keys"] == [KEY]
    lines = conf(done.stdout)
    assert lines["PROVIDER"] == provider
    assert lines["FIRST_USER_HASH"] == HASH
    assert lines["TLS"] == "sslip"
    assert done.stderr.strip() == "https://203-0-113-7.sslip.io"
    assert len(done.stdout.encode()) <= LIMITS[SCRIPTS[provider]]
    named = filled(root, provider, DOMAIN="a.example.org")
    assert conf(named.stdout)["TLS"] == "a.example.org"
    assert named.stderr.strip() == "https://a.example.org"


@pytest.mark.parametrize("provider", SCRIPTS)
def test_the_scripts_put_nothing_in_that_would_be_another_line(provider: str, root: Path):
    done = filled(root, provider, FIRST_USER="ada\nSSH_FROM=0.0.0.0/0")
    assert done.returncode != 0
    assert "FIRST_USER has to be one line" in done.stderr


@pytest.mark.parametrize("provider", SCRIPTS)
def test_the_scripts_say_what_is_missing_where_nobody_can_be_asked(provider: str, root: Path):
    done = filled(root, provider, IMAGE="")
    assert done.returncode != 0
    assert "IMAGE is not said" in done.stderr


@pytest.mark.parametrize("name", ["aws", "gcp", "azure", "digitalocean"])
def test_the_template_for_pulumi_asks_for_settings_that_there_are(name: str, root: Path):
    project = yaml.safe_load((root / f"templates/{name}/Pulumi.yaml").read_text())
    config = project["template"]["config"]
    assert config["opencode:target"]["default"] == name
    assert {key.removeprefix("opencode:") for key in config} <= set(Settings.model_fields)
    without_default = {key for key, field in config.items() if "default" not in field}
    own = {"gcp": "opencode:gcp_project", "azure": "opencode:azure_subscription"}
    assert without_default == {"opencode:ssh_public_key", "opencode:ssh_from"} | (
        {own[name]} if name in own else set()
    )
    requirements = (root / f"templates/{name}/requirements.txt").read_text()
    assert requirements.startswith(f"opencode-cloud[{name}]")


def test_a_releases_templates_offer_its_image(root: Path, tmp_path: Path):
    def release(image: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "tools/release_templates.py", image, str(tmp_path / "dist")]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert release("opencode-cloud:latest").returncode == 2
    assert not (tmp_path / "dist").exists()
    assert release(IMAGE).returncode == 0
    stack = yaml.safe_load((tmp_path / "dist/cloudformation.yaml").read_text())
    assert stack["Parameters"]["Image"]["Default"] == IMAGE
    template = json.loads((tmp_path / "dist/mainTemplate.json").read_text())
    assert template["parameters"]["image"]["defaultValue"] == IMAGE
    assert IMAGE in (tmp_path / "dist/createUiDefinition.json").read_text()
