"""What this machine offers to a deployment under test."""

import os
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from opencode_cloud.start import authorities
from opencode_cloud.start.steps.base_image import LOCAL_BASE, pinned_base


def build_settings(root: Path, folder: Path) -> dict[str, str]:
    """Settings with which the image can be built here, as ``./start`` finds them.

    Writes the machine's own certificate authorities, if any, into ``folder``.
    """
    settings = {"image_source": "build"}
    pinned = pinned_base((root / "docker" / "Dockerfile").read_text())
    try:
        docker.from_env().images.get(pinned)
    except ImageNotFound:
        settings["base_image"] = LOCAL_BASE
    extra = authorities.extra()
    if extra:
        bundle = folder / "extra-ca.pem"
        bundle.write_text(extra)
        settings["extra_ca_file"] = str(bundle)
    return settings


def pulumi_environment(root: Path, folder: Path) -> dict[str, str]:
    """Environment with a backend and a passphrase in ``folder``, and no others'."""
    (folder / "state").mkdir()
    (folder / "passphrase").write_text("for this run alone")
    return {
        **os.environ,
        "VIRTUAL_ENV": str(root / ".venv"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Ambient, wrong, and never to be used.
        "DOCKER_HOST": "tcp://127.0.0.1:1",
    }
