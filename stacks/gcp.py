"""A deployment on a machine of Google Compute Engine."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_gcp as gcp

from components.vm_gcp import GcpVm, region_of
from opencode_cloud.environment import Environment
from opencode_cloud.settings import Settings
from stacks.cloud import Deployment, refuse_ambient


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
    refuse_ambient(
        "gcp",
        {
            "project": "opencode:gcp_project",
            "region": "opencode:region",
            "zone": "opencode:region",
        },
    )
    # Said outright, so that what gcloud or GOOGLE_PROJECT says today decides nothing.
    provider = gcp.Provider(
        "gcp",
        project=settings.gcp_project,
        region=region_of(settings.region),
        zone=settings.region,
    )
    Deployment(
        settings=settings,
        stack=stack,
        project=project,
        environment=environment,
        secrets=secrets,
    ).run(GcpVm, provider)
