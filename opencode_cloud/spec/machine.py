"""The machine that a cloud provider rents out: all that it is to be, as values and files.

``cloud_config`` renders it for a first boot, ``vm_bundle`` for every change after it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from opencode_cloud.cloud_settings import Target
from opencode_cloud.environment import NO_ENVIRONMENT, Environment
from opencode_cloud.settings import Settings
from opencode_cloud.spec.compose import SERVICE, compose
from opencode_cloud.spec.container import SECRETS_FOLDER, ContainerSpec, container_spec

SSH_USER = "opencode"
"""Who administers the machine, with sudo; the one account that SSH lets in."""
CONF = "/etc/opencode-cloud"
COMPOSE_FILE = f"{CONF}/compose.yaml"
CONF_FILE = f"{CONF}/machine.conf"
LIB = "/usr/lib/opencode-cloud"

AUTO = "auto"
"""As ``data_disk``: the one disk that is blank, or was prepared before."""
DATA_DISKS: Mapping[Target, str] = {
    # The volume's own id stands in the name, so that whoever made the volume can say more.
    Target.AWS: AUTO,
    Target.GCP: "/dev/disk/by-id/google-opencode-data",
    # SCSI, then NVMe.
    Target.AZURE: "/dev/disk/azure/scsi1/lun0 /dev/disk/azure/data/by-lun/0",
    Target.DIGITALOCEAN: "/dev/disk/by-id/scsi-0DO_Volume_*",
}
"""Where each provider puts the data disk, when it is given the names that stand here."""


@dataclass(frozen=True)
class File:
    """A file of the machine, of root's."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One rented machine. Nothing in it is secret but the hash of the first user's password."""

    provider: Target
    ssh_public_key: str
    values: Mapping[str, str]
    """The lines of ``machine.conf``. A template puts its parameters in the place of values."""
    compose: str
    """compose.yaml, which takes the image, TLS and the public address from the values."""
    shipped: tuple[File, ...]
    """The files that are the same on every machine."""

    @property
    def files(self) -> tuple[File, ...]:
        """All files but those of the secrets; the first is ``machine.conf``."""
        conf = "".join(f"{name}={value}\n" for name, value in self.values.items())
        return (
            File(CONF_FILE, conf, 0o600),
            File(COMPOSE_FILE, self.compose),
            *self.shipped,
        )


def machine(
    settings: Settings,
    stack: str,
    image: str,
    shipped: tuple[File, ...],
    *,
    environment: Environment = NO_ENVIRONMENT,
    data_disk: str | None = None,
    completion_url: str = "",
) -> Machine:
    """Describe the machine of ``stack``.

    Args:
        settings: of a cloud target; `Settings.at` gives them an address that is known already.
        stack: its name.
        image: reference of the image, as ``spec.image`` gives it.
        shipped: as ``shipped_files`` reads them.
        environment: what opencode is given; the values of secrets go with ``vm_bundle``.
        data_disk: paths of the data disk, with spaces between, `auto`, or nothing for a machine
            without one. ``None``: where the provider puts it.
        completion_url: told once how the first boot ended, as CloudFormation's wait handle is.
    """
    spec = container_spec(settings, stack, environment)
    values = {
        "PROVIDER": settings.target.value,
        "CONTAINER": spec.name,
        "IMAGE": image,
        "PORT": str(settings.port),
        "HTTP_PORT": str(settings.redirect_port or ""),
        "TLS": settings.gateway_tls,
        "ADDRESS": settings.public_address,
        "DATA_DISK": DATA_DISKS[settings.target] if data_disk is None else data_disk,
        "SSH_FROM": settings.ssh_from,
        "FIRST_USER": settings.first_user,
        "FIRST_USER_HASH": settings.first_user_hash.get_secret_value(),
        "COMPLETION_URL": completion_url,
    }
    return Machine(
        provider=settings.target,
        ssh_public_key=settings.ssh_public_key,
        values=values,
        compose=_compose(spec, image),
        shipped=shipped,
    )


def _compose(spec: ContainerSpec, image: str) -> str:
    document = compose(spec, image)
    service = document["services"][SERVICE]
    # In every file alike, so that a template can have its parameters in machine.conf alone.
    service["image"] = "${OPENCODE_CLOUD_IMAGE}"
    for name in ("OPENCODE_CLOUD_PUBLIC_ADDRESS", "OPENCODE_CLOUD_TLS"):
        service["environment"][name] = f"${{{name}}}"
    # Where Pulumi uploads the files into a container, here the machine has them.
    service["volumes"].append(
        {
            "type": "bind",
            "source": f"{CONF}/secrets",
            "target": SECRETS_FOLDER,
            "read_only": True,
            "bind": {"create_host_path": False},
        }
    )
    return yaml.safe_dump(document, sort_keys=False)


def shipped_files(project: Path) -> tuple[File, ...]:
    """Read the files that every machine gets; ``project`` is the folder of ``Pulumi.yaml``."""
    folder = project / "cloud-init"
    places = {
        f"{LIB}/lib.sh": "lib.sh",
        f"{LIB}/beacon": "beacon.py",
        f"{LIB}/last_run.py": "last_run.py",
        "/usr/sbin/opencode-cloud-apply": "apply.py",
        "/usr/bin/opencode-cloud-status": "status",
        "/etc/systemd/system/docker.service.d/opencode-cloud.conf": "units/docker.conf",
        "/etc/systemd/system/nftables.service.d/opencode-cloud.conf": "units/nftables.conf",
    }
    for step in sorted((folder / "steps").iterdir()):
        places[f"{LIB}/steps/{step.name}"] = f"steps/{step.name}"
    for unit in sorted((folder / "units").glob("*.service")):
        places[f"/etc/systemd/system/{unit.name}"] = f"units/{unit.name}"
    return tuple(
        File(place, _without_comments(folder / name), 0o755 if _is_program(place) else 0o644)
        for place, name in places.items()
    )


def _without_comments(path: Path) -> str:
    """Read a file as a machine gets it: all of them have to fit into 16 KiB of user-data.

    Left out are whole-line comments, docstrings of one line that a statement follows, and words for
    linters.
    """
    left_out = r'(?m)^( *)(#(?!!).*\n|""".*"""\n(?=\1\S))|  # noqa: .*$'
    return re.sub(left_out, "", path.read_text())


def _is_program(place: str) -> bool:
    return place.startswith(("/usr/bin/", "/usr/sbin/", f"{LIB}/steps/"))
