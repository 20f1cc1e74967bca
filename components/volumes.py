"""The data of a deployment."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from opencode_cloud.spec.volumes import Volume


@dataclass(frozen=True, kw_only=True)
class OpencodeVolumesArgs:
    """Inputs of ``OpencodeVolumes``."""

    names: Mapping[Volume, str]
    """Docker's name of each volume."""
    labels: Mapping[str, str]
    delete_on_destroy: bool = False
    """Whether removing the stack removes what people made in it."""


class OpencodeVolumes(pulumi.ComponentResource):
    """``opencode:index:OpencodeVolumes``: sessions, projects, settings and users.

    Makes one ``docker.Volume`` for each kind of data. They outlive the stack:
    Pulumi forgets them and leaves them on the host, and because the engine
    answers "create" with the volume that is there, the next ``up`` finds them
    again. A replacement, whatever its cause, therefore loses nothing either.
    """

    names: dict[Volume, pulumi.Output[str]]
    """Docker's name of each volume, known when it exists."""

    def __init__(
        self, name: str, args: OpencodeVolumesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode:index:OpencodeVolumes", name, None, opts)
        labels = [
            docker.VolumeLabelArgs(label=label, value=value) for label, value in args.labels.items()
        ]
        self.names = {
            volume: docker.Volume(
                f"{name}-{volume}",
                name=args.names[volume],
                labels=labels,
                opts=pulumi.ResourceOptions(
                    parent=self, retain_on_delete=not args.delete_on_destroy
                ),
            ).name
            for volume in Volume
        }
        self.register_outputs({volume.value: output for volume, output in self.names.items()})
