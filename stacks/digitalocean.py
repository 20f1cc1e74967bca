"""A deployment on a machine of DigitalOcean."""

import pulumi_digitalocean as digitalocean

from components.vm_digitalocean import DigitalOceanVm
from stacks.cloud import rent
from stacks.deployment import Deployment


def deploy(deployment: Deployment) -> None:
    """Register the resources of a deployment, and export its outputs."""
    # It has no region of its own: every resource is told.
    provider = digitalocean.Provider("digitalocean")
    rent(deployment, DigitalOceanVm, provider)
