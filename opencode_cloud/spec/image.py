"""The image that a deployment runs: built from ``docker/``, or pulled by digest."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud import __version__
from opencode_cloud.cloud_settings import Target
from opencode_cloud.image_settings import BuiltOn, ImageSource
from opencode_cloud.settings import Settings

REPOSITORY = "opencode-cloud"
"""Name of the images built here; they are never pushed by a deployment."""


@dataclass(frozen=True, kw_only=True)
class PulledImage:
    """An image from a registry."""

    reference: str
    """REPOSITORY@sha256:DIGEST."""

    @property
    def provenance(self) -> dict[str, str]:
        """Where the image comes from, for people."""
        return {"source": ImageSource.PREBUILT, "reference": self.reference}


@dataclass(frozen=True, kw_only=True)
class KeptImage:
    """An image that the Docker host has, and nobody else: what an update went back to."""

    reference: str

    @property
    def provenance(self) -> dict[str, str]:
        """Where the image comes from, for people."""
        return {"source": "kept", "reference": self.reference}


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image built from a folder that holds a ``Dockerfile``."""

    project: Path
    """Folder of ``Pulumi.yaml``."""
    context: str = "docker"
    """Folder to build, below ``project``: a state that names no absolute path
    is the same for every checkout."""
    build_args: dict[str, str]
    stack: str
    is_sent: bool = False
    """Whether it is built on the operator's machine, and sent to the Docker host."""

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of all that decides what the build makes, but the base's content."""
        digest = hashlib.sha256(json.dumps(self.build_args, sort_keys=True).encode())
        if self.is_sent:
            # What is built elsewhere is another image, and must not pass for it.
            digest.update(b"sent")
        context = self.project / self.context
        for path in sorted(context.rglob("*")):
            if "__pycache__" in path.parts or not path.is_file():
                continue
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            digest.update(f"\0{path.relative_to(context).as_posix()}\0{mode}\0".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @property
    def reference(self) -> str:
        """Name of the image: another content is another name, so that none is overwritten."""
        return f"{REPOSITORY}:{self.stack}-{self.fingerprint[:12]}"

    @property
    def provenance(self) -> dict[str, str]:
        """Where the image comes from, for people."""
        opencode = self.build_args.get("OPENCODE_VERSION")
        return {
            "source": ImageSource.BUILD,
            "reference": self.reference,
            "base": self.build_args.get("BASE_IMAGE") or "as docker/Dockerfile pins it",
            "version": self.build_args["VERSION"],
            **({"opencode": opencode} if opencode else {}),
        }


ImageSpec = PulledImage | BuiltImage | KeptImage


def image_spec(settings: Settings, stack: str, project: Path) -> ImageSpec:
    """Say which image ``stack`` runs; ``project`` is the folder of ``Pulumi.yaml``."""
    if settings.kept_image:
        return KeptImage(reference=settings.kept_image)
    if settings.image_source is ImageSource.PREBUILT:
        return PulledImage(reference=settings.prebuilt_image)
    build_args = {"VERSION": __version__}
    if settings.base_image:
        build_args["BASE_IMAGE"] = settings.base_image
    if settings.extra_ca_file:
        build_args["EXTRA_CA_CERTIFICATES"] = Path(settings.extra_ca_file).read_text()
    if settings.opencode_version:
        build_args["OPENCODE_VERSION"] = settings.opencode_version
        build_args["OPENCODE_INTEGRITY"] = settings.opencode_integrity
    is_sent = settings.target is Target.SSH and settings.image_built_on is BuiltOn.HERE
    return BuiltImage(project=project, build_args=build_args, stack=stack, is_sent=is_sent)
