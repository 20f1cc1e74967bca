"""A deployment on a machine of Microsoft Azure."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_azure_native as azure

from components.vm_azure import AzureVm
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
        "azure-native",
        {"subscriptionId": "opencode:azure_subscription", "location": "opencode:region"},
    )
    # Said outright, so that what `az` or ARM_SUBSCRIPTION_ID says today decides nothing.
    provider = azure.Provider(
        "azure", subscription_id=settings.azure_subscription, location=settings.region
    )
    Deployment(
        settings=settings,
        stack=stack,
        project=project,
        environment=environment,
        secrets=secrets,
    ).run(AzureVm, provider)
