"""The form of Azure's portal, against what it takes, the template behind it, and the settings."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from opencode_cloud.settings import Settings
from opencode_cloud.spec.buttons import arm
from tests.program.clouds import HASH, IMAGE, KEY
from tests.unit import arm_form
from tests.unit.arm_parts import Document, changed, read


@pytest.fixture(scope="module")
def azure(root: Path) -> Document:
    return read(root, "mainTemplate.json")


@pytest.fixture(scope="module")
def form(root: Path) -> Document:
    return read(root, "createUiDefinition.json")


def test_azures_form_is_one_that_the_portal_shows_and_the_template_takes(
    azure: Document, form: Document
):
    assert list(arm_form.problems(form, azure)) == []
    assert set(form["parameters"]["outputs"]) == set(azure["parameters"])


ELEMENTS = "parameters/steps/0/elements"
WRONG_FORMS = {
    "an element that there is not": (
        f"{ELEMENTS}/0/type",
        "Microsoft.Common.Text",
        "is no element that is known",
    ),
    "an attribute that an element has not": (f"{ELEMENTS}/0/hint", "x", "has no hint"),
    "a missing label": (f"{ELEMENTS}/0/label", None, "label is missing"),
    "a constraint that there is not": (
        f"{ELEMENTS}/0/constraints/pattern",
        "x",
        "have no pattern",
    ),
    "a pattern that does not compile": (
        f"{ELEMENTS}/0/constraints/regex",
        "^(",
        "is no pattern",
    ),
    "a default that is refused": (f"{ELEMENTS}/2/defaultValue", "Root", "refuses its own default"),
    "a default that is not offered": (
        f"{ELEMENTS}/7/defaultValue",
        "20 GB",
        "not among what it offers",
    ),
    "an output for no parameter": (
        "parameters/outputs/sise",
        "[location()]",
        "has no parameter sise",
    ),
    "an output of no element": (
        "parameters/outputs/image",
        "[steps('machine').picture]",
        "reads no element",
    ),
    "a required parameter without an output": (
        "parameters/outputs/sshFrom",
        None,
        "nothing gives sshFrom",
    ),
    "a number that stays a text": (
        "parameters/outputs/dataDiskGb",
        "[steps('machine').dataDiskGb]",
        "is no int",
    ),
    "a secret that is shown while it is typed": (
        f"{ELEMENTS}/3/type",
        "Microsoft.Common.TextBox",
        "securestring is asked by",
    ),
    "a step without its title": ("parameters/steps/0/bladeTitle", None, "the step has"),
}


@pytest.mark.parametrize(("path", "value", "found"), WRONG_FORMS.values(), ids=WRONG_FORMS)
def test_what_is_wrong_in_a_form_is_found(
    azure: Document, form: Document, path: str, value: Any, found: str
):
    found_out = list(arm_form.problems(changed(form, path, value), azure))
    assert any(found in problem for problem in found_out)


def test_azures_disks_are_those_that_the_template_takes(azure: Document):
    bounds = azure["parameters"]["dataDiskGb"]
    assert all(bounds["minValue"] <= size <= bounds["maxValue"] for size in arm.DISK_SIZES_GB)


SETTINGS = {
    "sshPublicKey": "ssh_public_key",
    "sshFrom": "ssh_from",
    "firstUser": "first_user",
    "passwordHash": "first_user_hash",
    "image": "prebuilt_image",
    "domain": "tls",
}
"""By the field of the form: the setting that is the same."""
SAID = {
    "sshPublicKey": (
        KEY,
        "ssh-rsa AAAAB3Nza ada@example",
        "sk-ssh-ed25519@openssh.com AAAAGnNr",
        "no key",
        "ssh-dss AAAAB3Nza",
        "ssh-ed25519 AAAAC3 a\nssh-ed25519 AAAAC3 b",
        "ssh-ed25519 BBBB",
    ),
    "sshFrom": (
        "198.51.100.0/24",
        "203.0.113.7/32",
        "0.0.0.0/0",
        "everybody",
        "300.0.0.0/8",
        "10.0.0.0/33",
        "01.0.0.0/8",
    ),
    "firstUser": ("ada", "a-b_c1", "Root User", "1a", "a" * 33, "ada\n", "ada;x"),
    "passwordHash": (
        HASH,
        "$6$rounds=5000$salt$" + "a" * 86,
        "$y$j9T$salt$" + "a" * 43,
        "a password",
        "$1$salt$abc",
        "$6$salt$short",
    ),
    "image": (
        IMAGE,
        "ghcr.io/a/b-c@sha256:" + "0" * 64,
        "opencode-cloud:latest",
        "-a@sha256:" + "0" * 64,
        "a@sha256:" + "0" * 63,
    ),
    "domain": (
        "a.example.org",
        "a-b.example.org",
        "https://a.example.org",
        "-a.example.org",
        "a-.example.org",
        "localhost",
        "203.0.113.7",
        "A.example.org",
        "a" * 64 + ".example.org",
    ),
}


def settings_take(name: str, value: str) -> bool:
    usual = {
        "target": "azure",
        "region": "westeurope",
        "azure_subscription": "0-0",
        "ssh_public_key": KEY,
        "ssh_from": "198.51.100.0/24",
        "image_source": "prebuilt",
        "prebuilt_image": IMAGE,
    }
    try:
        Settings.model_validate({**usual, SETTINGS[name]: value})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in SAID.items() for value in values]
)
def test_a_form_takes_what_the_settings_take(name: str, value: str):
    _, _, pattern = arm.FIELDS[name]
    # In JavaScript `$` is the end alone, and not the line before it.
    takes = bool(re.search(pattern, value)) and not value.endswith("\n")
    assert takes == settings_take(name, value)


def test_a_form_may_leave_the_domain_empty():
    assert re.search(arm.FIELDS["domain"][2], "")
