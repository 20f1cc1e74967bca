"""opencode as a service on one Docker host: the whole of a deployment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi

from components.container import OpencodeContainer, OpencodeContainerArgs
from components.image import OpencodeImage, OpencodeImageArgs
from components.volumes import OpencodeVolumes, OpencodeVolumesArgs
from opencode_cloud.environment import NO_ENVIRONMENT, Environment
from opencode_cloud.settings import Settings
from opencode_cloud.spec.container import container_spec
from opencode_cloud.spec.image import image_spec
from opencode_cloud.spec.service_unit.host import UnitCommands, commands_here
from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec, service_unit_spec


@dataclass(frozen=True, kw_only=True)
class OpencodeServiceArgs:
    """Inputs of ``OpencodeService``."""

    settings: Settings
    stack: str
    """Name that sets this deployment apart from others on the same host."""
    project: Path
    """Folder that holds ``docker/``."""
    environment: Environment = NO_ENVIRONMENT
    """What opencode is given besides its settings."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Value of each secret in ``environment``."""
    unit_commands: Callable[[ServiceUnitSpec], UnitCommands] = commands_here
    """How a service unit gets to the Docker host."""


class OpencodeService(pulumi.ComponentResource):
    """``opencode:index:OpencodeService``: image, volumes, container and unit on one Docker host.

    The host is the one of the Docker provider given in ``opts``.
    """

    url: pulumi.Output[str]
    """Where the deployment answers, seen from its host."""
    container_id: pulumi.Output[str]
    container_name: pulumi.Output[str]
    image_digest: pulumi.Output[str]
    """Digest of what runs."""
    provenance: pulumi.Output[dict[str, str]]
    """Where the image comes from."""

    def __init__(
        self, name: str, args: OpencodeServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode:index:OpencodeService", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        image_source = image_spec(args.settings, args.stack, args.project)
        spec = container_spec(args.settings, args.stack, args.environment)
        image = OpencodeImage(name, OpencodeImageArgs(spec=image_source), child)
        volumes = OpencodeVolumes(
            name,
            OpencodeVolumesArgs(
                names=spec.volumes,
                labels=spec.labels,
                delete_on_destroy=args.settings.delete_data_on_destroy == args.stack,
            ),
            child,
        )
        container = OpencodeContainer(
            name,
            OpencodeContainerArgs(
                spec=spec, image_id=image.image_id, volumes=volumes.names, secrets=args.secrets
            ),
            child,
        )
        if unit := service_unit_spec(args.settings, args.stack):
            # Another plugin, for those that have one.
            from components.service_unit import ServiceUnit, ServiceUnitArgs

            ServiceUnit(
                name,
                ServiceUnitArgs(
                    spec=unit,
                    commands=args.unit_commands(unit),
                    container_id=container.container_id,
                ),
                child,
            )
        self.url = pulumi.Output.from_input(args.settings.url)
        self.container_id = container.container_id
        self.container_name = pulumi.Output.from_input(spec.name)
        self.image_digest = image.digest
        self.provenance = pulumi.Output.from_input(image_source.provenance)
        self.register_outputs(
            {
                "url": self.url,
                "container_id": self.container_id,
                "container_name": self.container_name,
                "image_digest": self.image_digest,
                "provenance": self.provenance,
            }
        )
