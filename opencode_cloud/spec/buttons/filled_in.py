"""The buttons of Google Cloud and DigitalOcean: user-data with marks, and a script that asks."""

from pathlib import Path

from opencode_cloud.cloud_settings import Target
from opencode_cloud.spec.buttons import described

MARKS = {
    name: f"@{name}@"
    for name in ("IMAGE", "TLS", "ADDRESS", "SSH_FROM", "FIRST_USER", "FIRST_USER_HASH")
}
"""What the scripts put in, by the names that machine.conf has."""


def user_data(provider: Target, project: Path) -> str:
    """Render a provider's user-data, with a mark where the scripts put what people say."""
    return described.user_data(provider, project, "@SSH_PUBLIC_KEY@", MARKS)
