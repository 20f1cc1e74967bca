"""Which versions of opencode there are, as npm's registry says."""

import http.client
import json
import os
import re
import ssl
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opencode_cloud.ops.deployment import Deployment, occ
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.versions import order
from opencode_cloud.setting_types import OPENCODE_MAJOR
from opencode_cloud.start.authorities import BUNDLE

NOTE = "/usr/lib/opencode-cloud/opencode-registry"
"""File of the image with the registry that its opencode came from."""
MACHINES = {"amd64": "x64", "arm64": "arm64"}
"""npm's word for a machine, by Docker's."""

_ABBREVIATED = "application/vnd.npm.install-v1+json"
_ANSWER_SECONDS = 20
_MOST_BYTES = 20_000_000
_LONGEST_URL = 2048
_NOT_FOUND = 404
_NO_DOCUMENT = (ValueError, TypeError, AttributeError)
_SHA512 = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")


class RegistryError(OperationError):
    """The registry cannot be asked, or does not have what was asked for."""


@dataclass(frozen=True)
class Release:
    """One version of opencode."""

    version: str
    integrity: str
    """As the setting `opencode_integrity` has it."""


@dataclass(frozen=True)
class Package:
    """What the registry has of opencode for one machine."""

    latest: str
    """The version that its publisher recommends; may be of any major."""
    integrities: dict[str, str]
    """SHA-512 of each version: those with one, and no tests of a version to come."""
    withdrawn: frozenset[str] = frozenset()
    """Versions that the publisher advises against."""

    def newest(self, major: int = OPENCODE_MAJOR) -> str:
        """Give the version to go to; empty when there is none of that major."""
        of_major = [
            version
            for version in self.integrities
            if order(version)[0] == major and version not in self.withdrawn
        ]
        return self.latest if self.latest in of_major else max(of_major, key=order, default="")


def parse(text: bytes) -> Package:
    """Read npm's document about a package.

    Raises:
        ValueError, TypeError, AttributeError: it is none.
    """
    said = json.loads(text)
    if not isinstance(said, dict) or not isinstance(said.get("versions"), dict):
        raise TypeError("no list of versions in it")
    versions = {
        version: about
        for version, about in said["versions"].items()
        if order(version) and isinstance(about, dict)
    }
    integrities = {version: _integrity(about) for version, about in versions.items()}
    return Package(
        latest=str((said.get("dist-tags") or {}).get("latest", "")),
        integrities={version: found for version, found in integrities.items() if found},
        withdrawn=frozenset(name for name, about in versions.items() if about.get("deprecated")),
    )


def _integrity(about: Mapping[str, Any]) -> str:
    said = str((about.get("dist") or {}).get("integrity", ""))
    return next(filter(_SHA512.fullmatch, said.split()), "")


def package(machine: str, registry: str) -> Package:
    """Ask a registry what it has for a machine, `x64` or `arm64`.

    Raises:
        RegistryError: it cannot be asked.
    """
    url = f"{registry}/opencode-linux-{machine}"
    try:
        return parse(_fetch(url))
    except (OSError, http.client.HTTPException, *_NO_DOCUMENT) as error:
        raise RegistryError(
            f"{url} did not say which versions of opencode there are: {_reason(error)}. See "
            "whether this machine reaches it (HTTPS_PROXY is used when it is set), and try again."
        ) from None


def release(version: str, machine: str, registry: str) -> Release:
    """Look a version up, to build it for a machine; the other machine's hash is a courtesy.

    Raises:
        RegistryError: there is none of it, or the registry cannot be asked.
    """
    found = package(machine, registry)
    if version not in found.integrities:
        newest = found.newest()
        raise RegistryError(
            f"There is no opencode {version} for {machine} at npm's registry. "
            + (f"The newest {OPENCODE_MAJOR}.x is {newest}." if newest else "")
        )
    hashes = {machine: found.integrities[version]}
    for other in set(MACHINES.values()) - {machine}:
        try:
            hashes |= {other: package(other, registry).integrities[version]}
        except (RegistryError, KeyError):
            # Not published, or not yet: nothing can be built there then.
            continue
    written = ",".join(f"{name}:{value}" for name, value in sorted(hashes.items(), reverse=True))
    return Release(version, written)


def registry_of(deployment: Deployment, environment: Mapping[str, str] = os.environ) -> str:
    """Give the registry to ask: the one that the environment names for npm, else the image's own.

    Raises:
        RegistryError: the image does not say; says what to do.
    """
    named = environment.get("npm_config_registry") or environment.get("NPM_CONFIG_REGISTRY")
    return (named or _noted(deployment)).rstrip("/")


def _noted(deployment: Deployment) -> str:
    path = f"/containers/{deployment.container}/archive"
    try:
        with (
            deployment.engine.stream(path, path=NOTE) as answer,
            tarfile.open(fileobj=answer, mode="r|") as archive,
        ):
            for member in archive:
                file = archive.extractfile(member)
                return file.read(_LONGEST_URL).decode().strip() if file else ""
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
    raise RegistryError(
        "The image that runs does not say which registry its opencode came from: it is older than "
        f"that. Update it first ({occ(deployment.stack, 'update')}), or name npm's registry in the "
        "variable npm_config_registry."
    )


def _fetch(url: str) -> bytes:
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError("not an https address")
    context = ssl.create_default_context()
    if BUNDLE.exists():
        # A Python that is not the system's may look for authorities elsewhere.
        context.load_verify_locations(BUNDLE)
    request = urllib.request.Request(url, headers={"Accept": _ABBREVIATED})  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS, context=context) as response:  # noqa: S310 - as above
        return response.read(_MOST_BYTES)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__
