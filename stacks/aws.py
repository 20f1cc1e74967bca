"""A deployment on a machine of Amazon EC2."""

import pulumi
import pulumi_aws as aws

from components.load_balancer_aws import AwsLoadBalancer, LoadBalancerArgs
from components.vm_aws import AwsVm
from stacks.cloud import refuse_ambient, rent
from stacks.deployment import Deployment


def deploy(deployment: Deployment) -> None:
    """Register the resources of a deployment, and export its outputs."""
    settings = deployment.settings
    refuse_ambient("aws", {"region": "opencode:region"})
    # Said outright, so that what AWS_REGION or a profile says today decides nothing.
    provider = aws.Provider("aws", region=settings.region)
    vm = rent(deployment, AwsVm, provider)
    if not settings.is_load_balanced:
        return
    balancer = AwsLoadBalancer(
        "opencode",
        LoadBalancerArgs(
            network=vm.network,
            port=settings.port,
            certificate=settings.alb_certificate,
            tags=vm.tags,
        ),
        pulumi.ResourceOptions(providers=[provider]),
    )
    pulumi.export("loadBalancer", balancer.dns_name)
