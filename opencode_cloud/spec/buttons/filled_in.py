"""The buttons of Google Cloud and DigitalOcean: user-data with marks, and a script that asks."""

import json
from pathlib import Path

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.buttons import described
from opencode_cloud.spec.buttons.described import FORM

MARKS = {
    name: f"@{name}@"
    for name in ("IMAGE", "TLS", "ADDRESS", "SSH_FROM", "FIRST_USER", "FIRST_USER_HASH")
}
"""What the scripts put in, by the names that machine.conf has."""


def user_data(provider: Target, project: Path) -> str:
    """Render a provider's user-data, with a mark where the scripts put what people say."""
    return described.user_data(provider, project, "@SSH_PUBLIC_KEY@", MARKS)


FIELDS = {
    "SSH_PUBLIC_KEY": (described.KEY_PATTERN, FORM["ssh_public_key"]),
    "SSH_FROM": (described.CIDR_PATTERN, FORM["ssh_from"]),
    "FIRST_USER": (described.USER_PATTERN, FORM["first_user"]),
    "FIRST_USER_HASH": (described.HASH_PATTERN, FORM["password_hash"]),
    "IMAGE": (described.IMAGE_PATTERN, FORM["image"]),
    "DOMAIN": (described.DOMAIN_PATTERN, FORM["domain"]),
    "DATA_DISK_GB": (r"^[1-9]\d{1,4}$", "A number of GB, from 10."),
    "NAME": (r"^[a-z](?:[a-z0-9-]{0,40}[a-z0-9])?$", "Small letters, digits and dashes."),
    "SIZE": (r"^[a-z0-9-]+$", "One of the provider's kinds of machine."),
    "REGION": (r"^[a-z]{3}\d$", "One of the provider's regions, such as fra1."),
    "ZONE": (r"^[a-z]+-[a-z]+\d+-[a-z]$", "One of the provider's zones, such as europe-west3-a."),
    "PROJECT": (r"^[a-z][a-z0-9.:-]{4,}$", "The project's identifier, and not its number or name."),
    "ADDRESS": (r"^\d{1,3}(?:\.\d{1,3}){3}$", "An IPv4 address that is reserved."),
}
"""What the scripts ask, by its name in the environment: what it may be, and what it is."""


def fields() -> str:
    """Write what the scripts read of the fields."""
    return json.dumps(FIELDS, indent=2) + "\n"
