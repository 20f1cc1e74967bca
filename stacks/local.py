"""A deployment on this machine's own Docker engine."""

from pathlib import Path

import pulumi
import pulumi_docker as docker

from components.service import OpencodeService, OpencodeServiceArgs
from opencode_cloud.settings import Settings


def deploy(settings: Settings, stack: str, project: Path) -> None:
    """Register the resources of ``stack`` and export its outputs."""
    if settings.exposed and not settings.has_tls:
        pulumi.log.warn(
            f"{settings.bind_address}:{settings.port} can be reached by other machines, and the "
            "connection is not encrypted: passwords and sessions can be read on the way. Encrypt "
            "it (pulumi config set opencode:tls internal, or a domain), put a TLS proxy or a VPN "
            "in front, or go back to loopback: pulumi config rm opencode:bind_address"
        )
    # The host is always said, so that what is in DOCKER_HOST today does not
    # decide where a deployment goes.
    provider = docker.Provider("docker", host=settings.docker_host)
    service = OpencodeService(
        "opencode",
        OpencodeServiceArgs(settings=settings, stack=stack, project=project),
        pulumi.ResourceOptions(providers=[provider]),
    )
    pulumi.export("url", service.url)
    pulumi.export("containerId", service.container_id)
    pulumi.export("containerName", service.container_name)
    pulumi.export("imageDigest", service.image_digest)
    pulumi.export("provenance", service.provenance)
