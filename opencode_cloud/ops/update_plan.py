"""What an update is to be, decided from texts alone: which version, and which settings."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.image_settings import ImageSource
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.points import Point
from opencode_cloud.ops.releases import Release
from opencode_cloud.ops.stack_document import Document
from opencode_cloud.ops.versions import order
from opencode_cloud.setting_types import OPENCODE_MAJOR
from opencode_cloud.settings import Settings

LATEST = "latest"
"""What may be said instead of a version."""

_DECIDES_IMAGE = (
    *("image_source", "prebuilt_image", "opencode_version", "opencode_integrity", "kept_image"),
)
"""The settings that an update changes, and going back puts back. All others stay as they are."""

_DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Target:
    """What `--to` said: at most one of these."""

    version: str = ""
    """A version of opencode, or `latest`."""
    digest: str = ""
    """A prebuilt image."""


def target(to: str, settings: Settings) -> Target:
    """Understand `--to` for a stack with these settings.

    Raises:
        OperationError: it cannot be meant for them; says what can.
    """
    built = settings.image_source is ImageSource.BUILD
    if not to:
        return Target()
    if _DIGEST.fullmatch(to):
        if built:
            raise OperationError(
                f"{to} is a prebuilt image, and this stack builds its own (image_source: build). "
                "Name a version of opencode, or change that: occ config set image_source prebuilt"
            )
        return Target(digest=to)
    if not built:
        raise OperationError(
            "This stack pulls its image (image_source: prebuilt), for which there is no feed of "
            f"releases yet: {to!r} cannot be looked up. Name the image by its digest: "
            "occ update --to REPOSITORY@sha256:DIGEST"
        )
    if to != LATEST and not order(to):
        raise OperationError(
            f"{to!r} is not a version of opencode. Write it whole, such as 1.18.33, or `{LATEST}`."
        )
    if to != LATEST and order(to)[0] != OPENCODE_MAJOR:
        raise OperationError(
            f"Version {to} of opencode is of another major than this image runs, which is "
            f"{OPENCODE_MAJOR}.x alone. Name one of these, or `{LATEST}`, which stays within it."
        )
    return Target(version=to)


def pinned(project: Path) -> str:
    """Give the version of opencode that the checkout's lock file pins; empty when it cannot say."""
    try:
        packages = json.loads((project / "docker" / "package-lock.json").read_text())["packages"]
        return next(about["version"] for name, about in packages.items() if name)
    except (OSError, ValueError, KeyError, StopIteration, AttributeError):
        return ""


def updated(document: Document, wanted: Target, release: Release | None, checkout: str) -> Document:
    """Give the stack's file as the update wants it.

    Args:
        document: as it is.
        wanted: what was asked for.
        release: the version that was asked for, looked up.
        checkout: the version that the checkout pins: it needs no setting.
    """
    after = document.without("kept_image")
    if wanted.digest:
        return after.with_value("prebuilt_image", wanted.digest)
    if not release:
        return after
    if release.version == checkout:
        return after.without("opencode_version").without("opencode_integrity")
    after = after.with_value("opencode_version", release.version)
    return after.with_value("opencode_integrity", release.integrity)


def gone_back(document: Document, point: Point, *, to_kept: bool) -> Document:
    """Give the stack's file with the image of a point, and all else as it is.

    Args:
        document: as it is.
        point: where to go back to.
        to_kept: run the very image that was kept, where the settings of then would build one.
    """
    then = Document(document.name, point.settings).values
    after = document
    for name in _DECIDES_IMAGE:
        if name not in then:
            after = after.without(name)
        elif after.said(name) != then[name]:
            after = after.with_value(name, then[name])
    # The files that a build takes may be others by now, and a pulled image is what it was.
    if to_kept and then.get("image_source") == ImageSource.BUILD:
        after = after.with_value("kept_image", point.kept_as)
    return after
