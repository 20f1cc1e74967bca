"""A deployment on a machine of Google Compute Engine."""

import pulumi_gcp as gcp

from components.vm_gcp import GcpVm, region_of
from stacks.cloud import refuse_ambient, rent
from stacks.deployment import Deployment


def deploy(deployment: Deployment) -> None:
    """Register the resources of a deployment, and export its outputs."""
    settings = deployment.settings
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
    rent(deployment, GcpVm, provider)
