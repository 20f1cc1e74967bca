"""What the stacks of every Docker host have in common: the service, its outputs and its warning."""

import sys
from collections.abc import Callable
from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.service import OpencodeService, OpencodeServiceArgs
from opencode_cloud.configuration import SettingsError
from opencode_cloud.ops import mounts, room
from opencode_cloud.ops.docker_host import DockerHost
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.service_unit import HostUnit
from opencode_cloud.settings import Settings
from opencode_cloud.spec.mounts import join_mounts
from opencode_cloud.spec.service_unit.host import UnitCommands, commands_here
from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec, service_unit_spec
from stacks.deployment import Deployment


def deploy_service(
    deployment: Deployment,
    settings: Settings,
    provider: docker.Provider,
    unit_commands: Callable[[ServiceUnitSpec], UnitCommands] = commands_here,
) -> OpencodeService:
    """Register a service on the provider's Docker host, and export its outputs.

    Args:
        deployment: that is to be there.
        settings: its own, as they are with what was found on the host.
        provider: of the host.
        unit_commands: how a service unit gets there.
    """
    if settings.exposed and not settings.has_tls:
        pulumi.log.warn(
            f"{settings.bind_address}:{settings.port} can be reached by other machines, and the "
            "connection is not encrypted: passwords and sessions can be read on the way. Encrypt "
            "it (pulumi config set opencode:tls internal, or a domain), put a TLS proxy or a VPN "
            "in front, or go back to loopback: pulumi config rm opencode:bind_address"
        )
    args = OpencodeServiceArgs(
        settings=settings,
        stack=deployment.stack,
        project=deployment.project,
        environment=deployment.environment,
        secrets=deployment.secrets,
        unit_commands=unit_commands,
    )
    service = OpencodeService("opencode", args, pulumi.ResourceOptions(providers=[provider]))
    pulumi.export("url", service.url)
    pulumi.export("containerId", service.container_id)
    pulumi.export("containerName", service.container_name)
    pulumi.export("imageDigest", service.image_digest)
    pulumi.export("provenance", service.provenance)
    return service


def require_unit(settings: Settings, host: DockerHost) -> None:
    """See that the host can have the unit that the settings ask for, before Docker hands over.

    Docker's restart policy changes with the container, and the unit comes after it: refused by
    then, the container would be left without anybody who starts it again.

    Args:
        settings: of the stack.
        host: that is to have the unit.

    Raises:
        RunError: it cannot; says why.
    """
    spec = service_unit_spec(settings, host.stack)
    if spec is None or (sys.platform == "win32" and not host.is_remote):
        return
    unit = HostUnit(host.stack, host.shell)
    see = unit.check if pulumi.runtime.is_dry_run() else unit.prepare
    try:
        see(spec)
    except OperationError as error:
        raise pulumi.RunError(str(error)) from None


def require_room(host: DockerHost) -> None:
    """See that the host can make another container, before the one that is there goes.

    Raises:
        RunError: its disk is full.
    """
    try:
        room.require_room(host)
    except OperationError as error:
        raise pulumi.RunError(str(error)) from None


def with_real_folders(settings: Settings, host: DockerHost, project: Path) -> Settings:
    """Give the settings with each mounted folder's own path, and warn of what it gives away.

    Args:
        settings: of the stack.
        host: the machine that has the folders.
        project: folder of ``Pulumi.yaml``.

    Raises:
        RunError: a folder cannot be mounted; with every problem.
    """
    if not settings.mounts:
        return settings
    try:
        looked = mounts.look_on(host, project, settings.bind_mounts)
    except OperationError as error:
        raise pulumi.RunError(str(error)) from None
    if looked.problems:
        raise pulumi.RunError(str(SettingsError(host.stack, list(looked.problems))))
    for danger in looked.dangers:
        pulumi.log.warn(str(danger))
    return settings.model_copy(update={"mounts": join_mounts(looked.mounts)})
