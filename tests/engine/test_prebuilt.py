"""An image pulled by its digest from a real registry."""

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from tests.engine.deployment import Deployment, free_port
from tests.engine.registry import publish, serving
from tests.engine.stack import PulumiFailedError, Stack


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a registry on this machine."""
    with serving(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def published(registry: str, image: str, docker_client: docker.DockerClient) -> str:
    """The built image in the registry, and no longer on the host by that name."""
    return publish(docker_client, registry, image, "1")


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
