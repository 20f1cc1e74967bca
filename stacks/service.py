"""What the stacks of every Docker host have in common: the service, its outputs and its warning."""

import pulumi
import pulumi_docker as docker

from components.service import OpencodeService, OpencodeServiceArgs


def deploy_service(args: OpencodeServiceArgs, provider: docker.Provider) -> OpencodeService:
    """Register a service on the provider's Docker host, and export its outputs."""
    settings = args.settings
    if settings.exposed and not settings.has_tls:
        pulumi.log.warn(
            f"{settings.bind_address}:{settings.port} can be reached by other machines, and the "
            "connection is not encrypted: passwords and sessions can be read on the way. Encrypt "
            "it (pulumi config set opencode:tls internal, or a domain), put a TLS proxy or a VPN "
            "in front, or go back to loopback: pulumi config rm opencode:bind_address"
        )
    service = OpencodeService("opencode", args, pulumi.ResourceOptions(providers=[provider]))
    pulumi.export("url", service.url)
    pulumi.export("containerId", service.container_id)
    pulumi.export("containerName", service.container_name)
    pulumi.export("imageDigest", service.image_digest)
    pulumi.export("provenance", service.provenance)
    return service
