"""The container as a Compose file, for hosts where no Pulumi runs."""

from typing import Any

import yaml

from opencode_cloud.spec.container import MOUNT_PATHS, ContainerSpec

SERVICE = "opencode"
"""Name of the one service in the file."""


def compose(spec: ContainerSpec, image: str) -> dict[str, Any]:
    """Render ``spec`` as a Compose project that runs ``image``."""
    service = {
        "image": image,
        "container_name": spec.name,
        "hostname": spec.hostname,
        "environment": dict(sorted(spec.environment.items())),
        "networks": ["default"],
        "ports": [
            {"target": port.container, "published": str(port.host), "host_ip": port.address}
            for port in spec.ports
        ],
        "volumes": [f"{volume}:{MOUNT_PATHS[volume]}" for volume in spec.volumes],
        "mem_limit": f"{spec.memory_mb}m",
        "memswap_limit": f"{spec.memory_mb}m",
        "cap_drop": ["ALL"],
        "cap_add": list(spec.capabilities),
        "security_opt": list(spec.security_options),
        "sysctls": spec.sysctls,
        "healthcheck": {
            "test": ["CMD", *spec.health.command],
            "interval": f"{spec.health.interval}s",
            "timeout": f"{spec.health.timeout}s",
            "retries": spec.health.retries,
            "start_period": f"{spec.health.start_period}s",
        },
        "restart": spec.restart,
        "stop_grace_period": f"{spec.stop_seconds}s",
        "logging": {"driver": "json-file", "options": spec.log_options},
        "labels": spec.labels,
    }
    if spec.cpus:
        service["cpus"] = spec.cpus
    return {
        "name": spec.name,
        "services": {SERVICE: service},
        "networks": {"default": {"name": spec.name, "labels": spec.labels}},
        "volumes": {
            volume.value: {"name": name, "labels": spec.labels}
            for volume, name in spec.volumes.items()
        },
    }


def compose_yaml(spec: ContainerSpec, image: str) -> str:
    """Write ``compose`` as YAML."""
    return yaml.safe_dump(compose(spec, image), sort_keys=False)
