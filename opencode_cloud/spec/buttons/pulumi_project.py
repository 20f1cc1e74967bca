"""The button *Deploy with Pulumi*: a project for `pulumi new`, which asks what only you know."""

from collections.abc import Mapping
from typing import Any

import yaml

from opencode_cloud.cloud_settings import Target
from opencode_cloud.setting_error import NAMESPACE
from opencode_cloud.settings import Settings

TITLES: Mapping[Target, str] = {
    Target.AWS: "AWS",
    Target.GCP: "Google Cloud",
    Target.AZURE: "Azure",
    Target.DIGITALOCEAN: "DigitalOcean",
}
REGIONS: Mapping[Target, str] = {
    Target.AWS: "eu-central-1",
    Target.GCP: "europe-west3-a",
    Target.AZURE: "germanywestcentral",
    Target.DIGITALOCEAN: "fra1",
}
"""What is offered; another may be typed."""
_ASKED: Mapping[Target, tuple[str, ...]] = {
    Target.GCP: ("gcp_project",),
    Target.AZURE: ("azure_subscription",),
}
_HEAD = """\
# Made by `python -m opencode_cloud.derive` from opencode_cloud/spec/buttons/pulumi_project.py.
"""


def project(provider: Target) -> str:
    """Write a template's ``Pulumi.yaml``."""
    title = TITLES[provider]
    document = {
        "name": "${PROJECT}",
        "description": "${DESCRIPTION}",
        "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}},
        "template": {
            "displayName": f"opencode on {title}",
            "description": f"opencode as a service of your own, on a machine of {title}",
            "config": _config(provider),
        },
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, width=100)


def _config(provider: Target) -> dict[str, Any]:
    asked = ("region", *_ASKED.get(provider, ()), "ssh_public_key", "ssh_from", "first_user_hash")
    fields: dict[str, dict[str, Any]] = {name: {"description": _about(name)} for name in asked}
    fields["region"]["default"] = REGIONS[provider]
    # Who deploys can sign in at once; what is typed is encrypted.
    fields["first_user_hash"]["secret"] = True
    # Built on the machine: there is no released image yet that could be named here.
    offered = {"target": provider.value, "image_source": "build"}
    for name, value in offered.items():
        fields[name] = {"description": _about(name), "default": value}
    return {f"{NAMESPACE}:{name}": field for name, field in fields.items()}


def _about(name: str) -> str:
    return Settings.model_fields[name].description or ""
