"""What the tests of the four clouds' stacks share."""

from pathlib import Path
from typing import Any

from google.protobuf import json_format

from tests.program.recorder import Recorder

STACK = "prod"
ADDRESS = "203.0.113.7"
HASH = "$6$abcdefgh$" + "b" * 86
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBpbyyZCPbSjoyKPKyA1TLr0E9yDmZVNQZPg7pXcMcxo ada@laptop"
IMAGE = "ghcr.io/example/opencode-cloud@sha256:" + "c" * 64
SECRET_MARK = "4dabf18193072939515e22adb298388d"
"""How the engine is told that a value is secret."""
APPLY = ("command:local:Command", "apply")

REGIONS = {
    "aws": "eu-central-1",
    "gcp": "europe-west3-a",
    "azure": "germanywestcentral",
    "digitalocean": "fra1",
}
LOOKUPS = {
    "aws:ec2/getAmi:getAmi": {"id": "ami-13"},
    "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings": {
        "locations": ["eu-central-1b", "eu-central-1a"]
    },
    "digitalocean:index/getSshKeys:getSshKeys": {"sshKeys": []},
}
COMPUTED = {
    "aws:ec2/eip:Eip": {"publicIp": ADDRESS, "allocationId": "eipalloc-1"},
    "aws:iam/role:Role": {"arn": "arn:aws:iam::1:role/r", "name": "r"},
    "gcp:compute/address:Address": {"address": ADDRESS},
    "gcp:compute/instance:Instance": {"instanceId": "4711"},
    "azure-native:resources:ResourceGroup": {"name": lambda given: given["resourceGroupName"]},
    "azure-native:network:PublicIPAddress": {"ipAddress": ADDRESS},
    "azure-native:compute:VirtualMachine": {"vmId": "4711"},
    "digitalocean:index/reservedIp:ReservedIp": {"ipAddress": ADDRESS},
    "digitalocean:index/sshKey:SshKey": {"fingerprint": "ab:cd"},
    "digitalocean:index/droplet:Droplet": {"id": "4711"},
    "command:local:Command": {
        "stdout": '{"host_keys": ["ssh-ed25519 AAAA"], "fingerprints": ["SHA256:x (ssh-ed25519)"]}'
    },
}


def configuration(provider: str, **more: str) -> dict[str, str]:
    """Give the settings of a stack, with more of them or others."""
    base = {
        "target": provider,
        "region": REGIONS[provider],
        "ssh_public_key": KEY,
        "ssh_from": "198.51.100.0/24",
        "first_user_hash": HASH,
        "prebuilt_image": IMAGE,
    }
    if provider == "gcp":
        base["gcp_project"] = "example"
    if provider == "azure":
        base["azure_subscription"] = "00000000-0000-0000-0000-000000000000"
    return {f"opencode:{key}": value for key, value in {**base, **more}.items()} | {
        "secret:KEY": "planted"
    }


def run(
    root: Path,
    provider: str,
    lookups: dict[str, dict[str, Any]] | None = None,
    **more: str,
) -> Recorder:
    """Run the whole program of a provider's stack."""
    recorder = Recorder({**LOOKUPS, **(lookups or {})}, COMPUTED)
    encrypted = ["opencode:first_user_hash", "secret:KEY"]
    return recorder.run(root, STACK, configuration(provider, **more), encrypted)


def raw(recorder: Recorder, resource: tuple[str, str]) -> dict[str, Any]:
    """Give the inputs of a resource as the engine gets them, with its marks of what is secret."""
    return json_format.MessageToDict(recorder.sent[resource].object)


def inputs(recorder: Recorder, resource: tuple[str, str]) -> dict[str, Any]:
    """Give the inputs of a resource with the marks taken off, however deep they are."""
    return _unmarked(raw(recorder, resource))


def _unmarked(value: Any) -> Any:
    if is_secret(value):
        return _unmarked(value["value"])
    if isinstance(value, dict):
        return {key: _unmarked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    return value


def is_secret(value: Any) -> bool:
    """Whether the engine was told that a raw input is secret."""
    return isinstance(value, dict) and SECRET_MARK in value


def readable(value: Any) -> str:
    """Give all of a raw input that is not secret, as text."""
    if is_secret(value):
        return ""
    if isinstance(value, dict):
        return "\n".join(map(readable, value.values()))
    if isinstance(value, list):
        return "\n".join(map(readable, value))
    return str(value)
