"""A deployment on this machine's own Docker engine."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.service import OpencodeServiceArgs
from opencode_cloud.environment import Environment
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.settings import Settings
from stacks.service import deploy_service, require_room, require_unit, with_real_folders


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
    here = DockerHost(stack, settings.docker_host.removeprefix("unix://"))
    require_room(here)
    require_unit(settings, here)
    settings = with_real_folders(settings, here, project)
    # The host is always said, so that what is in DOCKER_HOST today does not
    # decide where a deployment goes.
    provider = docker.Provider("docker", host=settings.docker_host)
    deploy_service(
        OpencodeServiceArgs(
            settings=settings,
            stack=stack,
            project=project,
            environment=environment,
            secrets=secrets,
        ),
        provider,
    )
