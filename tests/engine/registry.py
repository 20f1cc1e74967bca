"""A registry of images on this machine."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
import requests

from tests.engine.deployment import free_port


@contextmanager
def serving(
    folder: Path, host: str = "127.0.0.1", certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Run one that keeps its images in `folder`; gives its address.

    With a certificate and its key, it speaks HTTPS, as Docker wants it beyond loopback.
    """
    address = f"{host}:{free_port()}"
    tls = f", tls: {{certificate: {certificate[0]}, key: {certificate[1]}}}" if certificate else ""
    configuration = folder / "config.yml"
    configuration.write_text(
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'images'}}}}}\n"
        f"http: {{addr: {address}{tls}}}\n"
    )
    server = subprocess.Popen(["docker-registry", "serve", str(configuration)])
    try:
        _wait_for(f"{'https' if certificate else 'http'}://{address}/v2/")
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str) -> None:
    for _ in range(100):
        try:
            if requests.get(url, timeout=5, verify=False).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.1)
    pytest.fail(f"nothing answers at {url}")


def publish(client: docker.DockerClient, registry: str, image: str, tag: str) -> str:
    """Put an image of the host into the registry, and give what it can be pulled by."""
    repository = f"{registry}/opencode-cloud"
    client.images.get(image).tag(repository, tag)
    pushed = client.api.push(repository, tag=tag, stream=True, decode=True)
    digest = next(line["aux"]["Digest"] for line in pushed if "aux" in line)
    client.images.remove(f"{repository}:{tag}")
    return f"{repository}@{digest}"
