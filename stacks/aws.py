"""A deployment on a machine of Amazon EC2."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_aws as aws

from components.load_balancer_aws import AwsLoadBalancer, LoadBalancerArgs
from components.vm_aws import AwsVm
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
    refuse_ambient("aws", {"region": "opencode:region"})
    # Said outright, so that what AWS_REGION or a profile says today decides nothing.
    provider = aws.Provider("aws", region=settings.region)
    vm = Deployment(
        settings=settings,
        stack=stack,
        project=project,
        environment=environment,
        secrets=secrets,
    ).run(AwsVm, provider)
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
