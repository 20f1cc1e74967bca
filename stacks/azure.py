"""A deployment on a machine of Microsoft Azure."""

import pulumi_azure_native as azure

from components.vm_azure import AzureVm
from stacks.cloud import refuse_ambient, rent
from stacks.deployment import Deployment


def deploy(deployment: Deployment) -> None:
    """Register the resources of a deployment, and export its outputs."""
    settings = deployment.settings
    refuse_ambient(
        "azure-native",
        {"subscriptionId": "opencode:azure_subscription", "location": "opencode:region"},
    )
    # Said outright, so that what `az` or ARM_SUBSCRIPTION_ID says today decides nothing.
    provider = azure.Provider(
        "azure", subscription_id=settings.azure_subscription, location=settings.region
    )
    rent(deployment, AzureVm, provider)
