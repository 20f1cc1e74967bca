"""What every stack is told, wherever it deploys to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from opencode_cloud.environment import Environment
from opencode_cloud.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One stack, as its configuration describes it."""

    settings: Settings
    stack: str
    """Name that sets it apart from others."""
    project: Path
    """Folder of ``Pulumi.yaml``."""
    environment: Environment
    """What opencode is given besides its settings."""
    secrets: Mapping[str, pulumi.Output[str]]
    """The value of each secret in ``environment``."""
