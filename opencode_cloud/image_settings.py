"""Which image a deployment runs, and which opencode is in it: a part of the settings."""

from enum import StrEnum

from pydantic import Field, ValidationInfo, field_validator

from opencode_cloud.access_settings import AccessSettings
from opencode_cloud.setting_error import NAMESPACE, wrong
from opencode_cloud.setting_types import (
    ImageByDigest,
    Integrities,
    KeptImage,
    OpencodeVersion,
    PemFile,
)


class ImageSource(StrEnum):
    """How a deployment gets its image."""

    PREBUILT = "prebuilt"
    BUILD = "build"


class BuiltOn(StrEnum):
    """Where an image is built, for a deployment on a host over SSH."""

    HOST = "host"
    HERE = "here"


class ImageSettings(AccessSettings):
    """The settings of the image, after those of where it runs and who reaches it."""

    image_source: ImageSource = Field(
        default=ImageSource.PREBUILT,
        description="`prebuilt` pulls `prebuilt_image`; `build` builds `docker/Dockerfile`.",
    )
    prebuilt_image: ImageByDigest = Field(
        default="",
        validate_default=True,
        description="Image to pull, as REPOSITORY@sha256:DIGEST. Needed with "
        "`image_source: prebuilt`.",
    )
    image_built_on: BuiltOn = Field(
        default=BuiltOn.HOST,
        description="Where an image for a host over SSH is built: on the `host`, or `here`, on "
        "this machine's Docker engine, and then sent to it without a registry.",
    )
    base_image: str = Field(
        default="",
        description="Debian 13 image to build on. Empty: the one that `docker/Dockerfile` pins.",
    )
    extra_ca_file: PemFile = Field(
        default="",
        description="PEM file of certificate authorities that a built image trusts besides "
        "Debian's, for instance a company proxy's.",
    )
    opencode_version: OpencodeVersion = Field(
        default="",
        description="Version of opencode in a built image. Empty: the one that "
        "`docker/package-lock.json` pins. `occ update --to VERSION` writes it.",
    )
    opencode_integrity: Integrities = Field(
        default="",
        validate_default=True,
        description="What `opencode_version` is known by: the SHA-512 of its package for x64, "
        "arm64 or both, as `occ update --to VERSION` writes it. The build refuses anything else.",
    )
    kept_image: KeptImage = Field(
        default="",
        description="Image on the Docker host to run instead of all that the settings above say. "
        "`occ update` writes it when it goes back, and removes it at the next update.",
    )
    update_check: bool = Field(
        default=True,
        description="`occ update` also asks npm's registry for a newer opencode, and `occ status` "
        "says when one was found. `occ update --check` asks in any case.",
    )

    @field_validator("prebuilt_image")
    @classmethod
    def _prebuilt_is_named(cls, value: str, info: ValidationInfo) -> str:
        if value or info.data.get("image_source") is not ImageSource.PREBUILT:
            return value
        raise wrong(
            "is empty, and image_source is prebuilt",
            "name the image by its digest, or build it here: "
            f"pulumi config set {NAMESPACE}:image_source build",
        )

    @field_validator("opencode_integrity")
    @classmethod
    def _version_is_pinned(cls, value: str, info: ValidationInfo) -> str:
        version = info.data.get("opencode_version")
        if version is None or bool(version) == bool(value):
            return value
        if version:
            raise wrong(
                f"is empty, so that nothing says what opencode {version} is",
                f"occ update --to {version} looks it up, and writes both",
            )
        raise wrong(
            "belongs to an opencode_version, and there is none",
            f"pulumi config rm {NAMESPACE}:opencode_integrity",
        )
