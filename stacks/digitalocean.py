"""A deployment on a machine of DigitalOcean."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_digitalocean as digitalocean

from components.vm_digitalocean import DigitalOceanVm
from opencode_cloud.environment import Environment
from opencode_cloud.settings import Settings
from stacks.cloud import Deployment


def deploy(
    settings: Settings,
    stack: str,
    project: Path,
    environment: Environment,
    secrets: Mapping[str, pulumi.Output[str]],
) -> None:
    """Register the resources of ``stack`` and export its outputs.

    Args:
        settings: of the stack.
        stack: its name.
        project: folder of ``Pulumi.yaml``.
        environment: what opencode is given besides.
        secrets: the value of each secret in it.
    """
    # It has no region of its own: every resource is told.
    provider = digitalocean.Provider("digitalocean")
    Deployment(
        settings=settings,
        stack=stack,
        project=project,
        environment=environment,
        secrets=secrets,
    ).run(DigitalOceanVm, provider)
