"""The container as a Compose file, for hosts where no Pulumi runs."""

from typing import Any

import yaml

from opencode_cloud.spec.container import ContainerSpec
from opencode_cloud.spec.mounts import BindMount
from opencode_cloud.spec.volumes import MOUNT_PATHS

SERVICE = "opencode"
"""Name of the one service in the file."""


def compose(spec: ContainerSpec, image: str) -> dict[str, Any]:
    """Render ``spec`` as a Compose project that runs ``image``.

    Secrets are not in it: whoever starts it puts their files into the container.
    """
    service = {
        "image": image,
        "container_name": spec.name,
        "hostname": spec.hostname,
        # Compose puts variables of its own in the place of $NAME.
        "environment": {
            name: value.replace("$", "$$") for name, value in sorted(spec.environment.items())
        },
        "networks": ["default"],
        "ports": [
            {"target": port.container, "published": str(port.host), "host_ip": port.address}
            for port in spec.ports
        ],
        "volumes": [
            *(f"{volume}:{MOUNT_PATHS[volume]}" for volume in spec.volumes),
            *map(_mount, spec.mounts),
        ],
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
        "restart": f"{spec.restart}:{spec.most_restarts}" if spec.most_restarts else spec.restart,
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


def _mount(mount: BindMount) -> dict[str, Any]:
    return {
        "type": "bind",
        # Compose reads a dollar sign as a variable.
        "source": mount.source.replace("$", "$$"),
        "target": mount.target.replace("$", "$$"),
        "read_only": not mount.writable,
        "bind": {"create_host_path": False},
    }


def compose_yaml(spec: ContainerSpec, image: str) -> str:
    """Write ``compose`` as YAML."""
    return yaml.safe_dump(compose(spec, image), sort_keys=False)
