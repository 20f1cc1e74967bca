"""The machine of a button: the usual one, with a template's parameters in it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from opencode_cloud.cloud_settings import HASH, PUBLIC_KEY, USER, Target
from opencode_cloud.configuration import load
from opencode_cloud.setting_types import BY_DIGEST
from opencode_cloud.spec.cloud_config import EXAMPLE, render
from opencode_cloud.spec.machine import machine, shipped_files

STACK = "button"
"""What the deployment is called on its machine."""
DATA_DISK_GB = 20

FORM: Mapping[str, str] = {
    "ssh_public_key": "Your public SSH key: the one line of ~/.ssh/id_ed25519.pub.",
    "ssh_from": "Your own network, from which SSH is let in, such as 203.0.113.7/32 "
    "(curl -4s https://icanhazip.com shows your address). 0.0.0.0/0 lets everybody try.",
    "first_user": "Who signs in first.",
    "password_hash": "Hash of that user's password, so that nobody but you knows the password: "
    "`openssl passwd -6` asks for it and prints the hash.",
    "domain": "Your domain, if it leads here. Empty: the address's own name under sslip.io.",
    "image": "The image to run, by its digest: REPOSITORY@sha256:... as the release notes name "
    "it. There is no released image yet: build docker/ and push it where this machine can pull "
    "it from, or use Pulumi, which builds it on the machine.",
    "size": "Kind of machine. It takes 4 GB of memory.",
    "data_disk_gb": "Size of the disk that holds the data, in GB.",
}
"""What each field of a form is, for people."""

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

HASH_PATTERN = f"^(?:{HASH.pattern})$"
IMAGE_PATTERN = f"^{BY_DIGEST.pattern}$"
KEY_PATTERN = f"^{PUBLIC_KEY.pattern}$"
USER_PATTERN = f"^{USER.pattern}$"
CIDR_PATTERN = rf"^(?:{_OCTET}\.){{3}}{_OCTET}/(?:3[0-2]|[12]?\d)$"
DOMAIN_PATTERN = rf"^(?:(?=.{{1,253}}$)(?:{_LABEL}\.)+(?!\d+$){_LABEL})?$"
"""What the fields of a form take. The settings say the same; these are read by JavaScript (Azure's
portal) and Java (CloudFormation) as well, and one network is taken, of IPv4."""


def user_data(
    provider: Target, project: Path, ssh_public_key: str, values: Mapping[str, str]
) -> str:
    """Render the first boot of a provider's machine.

    Args:
        provider: whose.
        project: folder of ``Pulumi.yaml``.
        ssh_public_key: the template's parameter for it.
        values: its parameters for lines of ``machine.conf``.
    """
    settings = load({**EXAMPLE, "target": provider}, STACK)
    usual = machine(settings, STACK, settings.prebuilt_image, shipped_files(project))
    filled = replace(usual, values={**usual.values, **values}, ssh_public_key=ssh_public_key)
    return render(filled)
