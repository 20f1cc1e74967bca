"""A deployment on this machine's own Docker engine."""

import pulumi_docker as docker

from opencode_cloud.ops.docker_host import DockerHost
from stacks.deployment import Deployment
from stacks.service import deploy_service, require_room, require_unit, with_real_folders


def deploy(deployment: Deployment) -> None:
    """Register the resources of a deployment, and export its outputs."""
    settings, stack, project = deployment.settings, deployment.stack, deployment.project
    here = DockerHost(stack, settings.docker_host.removeprefix("unix://"))
    require_room(here)
    require_unit(settings, here)
    settings = with_real_folders(settings, here, project)
    # The host is always said, so that what is in DOCKER_HOST today does not
    # decide where a deployment goes.
    provider = docker.Provider("docker", host=settings.docker_host)
    deploy_service(deployment, settings, provider)
