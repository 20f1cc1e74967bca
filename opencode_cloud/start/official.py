"""Pulumi's official release: fetched, checked, unpacked."""

import hashlib
import http.client
import platform
import re
import shutil
import ssl
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from opencode_cloud.start.authorities import BUNDLE
from opencode_cloud.start.errors import StartError

RELEASES = "https://github.com/pulumi/pulumi/releases/download"
SILENCE_SECONDS = 8
"""How long the source may say nothing; it is one of several."""

_CHUNK = 1 << 20
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def archive_name(version: str, system: str, machine: str) -> str:
    """Name the release's archive for a platform, as ``platform`` names platforms.

    Raises:
        StartError: there is none.
    """
    if system not in _SYSTEMS or machine not in _MACHINES:
        raise StartError(f"there is no official release for {system} on {machine}")
    return f"pulumi-v{version}-{_SYSTEMS[system]}-{_MACHINES[machine]}.tar.gz"


def install(
    version: str, target: Path, report: Callable[[str], None], releases: str = RELEASES
) -> None:
    """Put the programs of an official release into ``target``, all or nothing.

    Raises:
        StartError: the source cannot be reached, or what it sent is not the release.
    """
    name = archive_name(version, platform.system(), platform.machine())
    source = f"{releases}/v{version}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        expected = _checksum(f"{source}/pulumi-{version}-checksums.txt", name)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as work:
            archive = Path(work) / name
            if _fetch(f"{source}/{name}", archive, report) != expected:
                raise StartError(f"{name} does not have the checksum that its release lists")
            report("unpacking")
            programs = Path(work) / "bin"
            _unpack(archive, programs)
            shutil.rmtree(target, ignore_errors=True)
            programs.rename(target)
    except (OSError, http.client.HTTPException, tarfile.TarError, EOFError) as error:
        raise StartError(f"{releases} did not give it: {_reason(error)}") from None


def reachable(releases: str = RELEASES) -> bool:
    """Whether the official source answers at all, within seconds."""
    try:
        with _open(releases.removesuffix("/download"), method="HEAD"):
            return True
    except urllib.error.HTTPError as error:
        # Anything but a proxy's refusal is an answer of the source.
        return error.code not in {http.client.PROXY_AUTHENTICATION_REQUIRED, http.client.FORBIDDEN}
    except (OSError, http.client.HTTPException):
        return False


def _open(url: str, method: str = "GET") -> http.client.HTTPResponse:
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise StartError(f"{url} is not an https address")
    context = ssl.create_default_context()
    if BUNDLE.exists():
        # A Python that is not the system's may look for authorities elsewhere.
        context.load_verify_locations(BUNDLE)
    request = urllib.request.Request(url, method=method)  # noqa: S310 - checked above
    return urllib.request.urlopen(request, timeout=SILENCE_SECONDS, context=context)  # noqa: S310 - as above


def _checksum(url: str, name: str) -> str:
    with _open(url) as response:
        text = response.read(_CHUNK).decode()
    match = re.search(rf"^([0-9a-f]{{64}})\s+\*?{re.escape(name)}$", text, re.MULTILINE)
    if not match:
        raise StartError(f"{url} does not list {name}")
    return match[1]


def _fetch(url: str, path: Path, report: Callable[[str], None]) -> str:
    """Fetch ``url`` into ``path``, and give the hex SHA-256 of what came."""
    digest = hashlib.sha256()
    with _open(url) as response, path.open("wb") as file:
        total = int(response.headers.get("Content-Length", 0))
        got = 0
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            got += len(chunk)
            report(f"downloading the official release: {_megabytes(got)} of {_megabytes(total)}")
    return digest.hexdigest()


def _unpack(archive: Path, programs: Path) -> None:
    """Write the archive's ``pulumi/NAME`` files, and nothing else, into ``programs``."""
    programs.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts
            content = tar.extractfile(member) if member.isfile() else None
            match parts, content:
                case ("pulumi", name), content if content:
                    with (programs / name).open("wb") as file:
                        shutil.copyfileobj(content, file)
                    (programs / name).chmod(0o755)
    if not (programs / "pulumi").exists():
        raise StartError(f"{archive.name} holds no pulumi program")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__
