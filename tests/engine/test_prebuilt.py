"""An image pulled by its digest from a real registry."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from tests.engine.deployment import Deployment, free_port
from tests.engine.stack import PulumiFailedError, Stack


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a registry on this machine."""
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    configuration = folder / "config.yml"
    configuration.write_text(
        "version: 0.1\n"
        "log: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'images'}}}}}\n"
        f"http: {{addr: {address}}}\n"
    )
    server = subprocess.Popen(["docker-registry", "serve", str(configuration)])
    try:
        _wait_for(f"http://{address}/v2/")
        yield address
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str) -> None:
    for _ in range(100):
        try:
            if requests.get(url, timeout=1).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"nothing answers at {url}")


@pytest.fixture(scope="module")
def published(registry: str, image: str, docker_client: docker.DockerClient) -> str:
    """The built image in the registry, and no longer on the host by that name."""
    repository = f"{registry}/opencode-cloud"
    local = docker_client.images.get(image)
    local.tag(repository, "1")
    pushed = docker_client.api.push(repository, tag="1", stream=True, decode=True)
    digest = next(line["aux"]["Digest"] for line in pushed if "aux" in line)
    docker_client.images.remove(f"{repository}:1")
    return f"{repository}@{digest}"


def test_a_prebuilt_image_is_pulled_by_digest_runs_and_says_where_it_is_from(
    published: str,
    image: str,
    project: Path,
    pulumi_env: dict[str, str],
    docker_client: docker.DockerClient,
):
    stack = Stack(f"prebuilt-{os.getpid()}", project, pulumi_env)
    stack.create({"prebuilt_image": published, "port": str(free_port())})
    try:
        stack.up()
        outputs = stack.outputs()
        running = Deployment(stack, outputs["url"], docker_client)
        assert requests.get(f"{outputs['url']}/health", timeout=10).json()["healthy"] is True
        assert outputs["imageDigest"] == published
        assert outputs["provenance"] == {"source": "prebuilt", "reference": published}
        assert running.container.attrs["Image"] == image
        stack.preview("--expect-no-changes")
        stack.refresh()
        stack.preview("--expect-no-changes")
    finally:
        stack.remove()
        docker_client.images.remove(published)


def test_a_digest_that_the_registry_does_not_have_is_named_in_the_error(
    registry: str, published: str, project: Path, pulumi_env: dict[str, str]
):
    missing = f"{registry}/opencode-cloud@sha256:" + "0" * 64
    stack = Stack(f"missing-{os.getpid()}", project, pulumi_env)
    # Its data is nobody's from the start: an `up` that would say so later cannot succeed.
    nobodys = {"delete_data_on_destroy": stack.name}
    stack.create({"prebuilt_image": missing, "port": str(free_port())} | nobodys)
    try:
        with pytest.raises(PulumiFailedError) as caught:
            stack.up()
        assert missing in str(caught.value)
    finally:
        stack.destroy()
        stack.pulumi("stack", "rm", "--yes", "--force", stack.name)
