"""The running container."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from opencode_cloud.spec.container import SECRETS_FOLDER, ContainerSpec, Health
from opencode_cloud.spec.mounts import BindMount
from opencode_cloud.spec.volumes import MOUNT_PATHS, Volume

HEALTHY_WITHIN_SECONDS = 120
"""How long ``up`` waits for opencode to answer; a slow disk needs most of it."""


@dataclass(frozen=True, kw_only=True)
class OpencodeContainerArgs:
    """Inputs of ``OpencodeContainer``."""

    spec: ContainerSpec
    image_id: pulumi.Input[str]
    """Identifier of the image, ``sha256:...``."""
    volumes: Mapping[Volume, pulumi.Input[str]]
    """Docker's name of each volume."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Value of each secret that the specification names."""


class OpencodeContainer(pulumi.ComponentResource):
    """``opencode:index:OpencodeContainer``: opencode behind its gateway, in a network of its own.

    Makes a ``docker.Network`` and a ``docker.Container``. The container holds no
    data and is replaced freely: the old one is gone before the new one starts,
    because both need the same port and only one may write the database.
    """

    container_id: pulumi.Output[str]
    """Docker's identifier of the container."""

    def __init__(
        self, name: str, args: OpencodeContainerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("opencode:index:OpencodeContainer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        spec = args.spec
        network = docker.Network(
            f"{name}-network",
            name=spec.name,
            labels=[
                docker.NetworkLabelArgs(label=label, value=value)
                for label, value in spec.labels.items()
            ],
            opts=child,
        )
        container = docker.Container(
            f"{name}-container",
            name=spec.name,
            hostname=spec.hostname,
            image=args.image_id,
            envs=[f"{key}={value}" for key, value in sorted(spec.environment.items())],
            # Named outright: left out, the engine's default shows as a change
            # on every later run.
            network_mode=network.name,
            ports=[
                docker.ContainerPortArgs(
                    internal=port.container, external=port.host, ip=port.address
                )
                for port in spec.ports
            ],
            volumes=[
                docker.ContainerVolumeArgs(
                    volume_name=args.volumes[volume], container_path=MOUNT_PATHS[volume]
                )
                for volume in Volume
            ],
            # Unlike `volumes`, these make no folder where there is none.
            mounts=[_mount(mount) for mount in spec.mounts],
            # Written before the container starts, and kept in it: a restart by Docker finds them.
            uploads=[
                docker.ContainerUploadArgs(
                    file=f"{SECRETS_FOLDER}/{secret}",
                    content=pulumi.Output.secret(args.secrets[secret]),
                    permissions="0600",
                )
                for secret in spec.secrets
            ]
            or None,
            memory=spec.memory_mb,
            # The same figure for memory and swap together: no swap.
            memory_swap=spec.memory_mb,
            cpus=str(spec.cpus) if spec.cpus else None,
            capabilities=docker.ContainerCapabilitiesArgs(
                adds=[f"CAP_{capability}" for capability in spec.capabilities], drops=["ALL"]
            ),
            security_opts=list(spec.security_options),
            sysctls=spec.sysctls,
            healthcheck=_healthcheck(spec.health),
            restart=spec.restart,
            # Left out where it is not used: the engine does not take it then.
            max_retry_count=spec.most_restarts or None,
            stop_timeout=spec.stop_seconds,
            destroy_grace_seconds=spec.stop_seconds,
            log_driver="json-file",
            log_opts=spec.log_options,
            labels=[
                docker.ContainerLabelArgs(label=label, value=value)
                for label, value in spec.labels.items()
            ],
            wait=True,
            wait_timeout=HEALTHY_WITHIN_SECONDS,
            opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=["uploads"]),
        )
        self.container_id = container.id
        self.register_outputs({"container_id": self.container_id})


def _mount(mount: BindMount) -> docker.ContainerMountArgs:
    return docker.ContainerMountArgs(
        type="bind", source=mount.source, target=mount.target, read_only=not mount.writable
    )


def _healthcheck(health: Health) -> docker.ContainerHealthcheckArgs:
    return docker.ContainerHealthcheckArgs(
        tests=["CMD", *health.command],
        interval=_seconds(health.interval),
        timeout=_seconds(health.timeout),
        retries=health.retries,
        start_period=_seconds(health.start_period),
    )


def _seconds(count: int) -> str:
    # As Go prints durations, or the provider sees a change on every run.
    minutes, seconds = divmod(count, 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
