"""A deployment on this machine's own Docker engine."""

from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.service import OpencodeServiceArgs
from opencode_cloud.environment import Environment
from opencode_cloud.ops import mounts
from opencode_cloud.ops.mount_dangers import Surroundings
from opencode_cloud.settings import Settings, SettingsError
from opencode_cloud.spec.mounts import join_mounts
from stacks.service import deploy_service


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
    settings = _with_real_folders(settings, stack, project)
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


def _with_real_folders(settings: Settings, stack: str, project: Path) -> Settings:
    """Give the settings with each mounted folder's own path, and warn of what it gives away.

    Raises:
        RunError: a folder cannot be mounted; with every problem.
    """
    around = Surroundings.of(project, settings.docker_host, stack)
    looked = mounts.look(settings.bind_mounts, around)
    if looked.problems:
        raise pulumi.RunError(str(SettingsError(stack, list(looked.problems))))
    for danger in looked.dangers:
        pulumi.log.warn(str(danger))
    return settings.model_copy(update={"mounts": join_mounts(looked.mounts)})
