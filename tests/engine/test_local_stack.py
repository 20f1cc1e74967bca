import os
import re
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
import requests

from opencode_cloud.spec.volumes import Volume
from tests.engine.deployment import PASSWORD, USER, Deployment, free_port
from tests.engine.stack import PulumiFailedError, Stack


@pytest.fixture
def own_stack(
    project: Path, pulumi_env: dict[str, str], build_settings: dict[str, str]
) -> Iterator[Stack]:
    stack = Stack(f"own-{os.getpid()}", project, pulumi_env)
    stack.create(build_settings | {"port": str(free_port())})
    yield stack
    stack.remove()


def volumes(client: docker.DockerClient, stack: Stack) -> set[str]:
    mine = {"label": f"org.opencode-cloud.stack={stack.name}"}
    return {volume.name for volume in client.volumes.list(filters=mine)}


def test_up_ends_with_a_service_that_answers_and_says_what_it_is(deployment: Deployment):
    outputs = deployment.stack.outputs()
    assert outputs["containerId"] == deployment.container.id
    assert outputs["imageDigest"] == deployment.container.attrs["Image"]
    assert outputs["provenance"]["source"] == "build"
    health = requests.get(f"{outputs['url']}/health", timeout=10)
    assert health.json()["healthy"] is True


def test_a_second_preview_reports_no_change_and_neither_does_one_after_a_refresh(
    deployment: Deployment,
):
    deployment.stack.preview("--expect-no-changes")
    deployment.stack.refresh()
    deployment.stack.preview("--expect-no-changes")
    before = deployment.container.id
    deployment.stack.up()
    assert deployment.container.id == before


def test_the_container_has_no_more_rights_than_it_needs(deployment: Deployment):
    host = deployment.container.attrs["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 2048 * 1024 * 1024
    assert not [bind for bind in host["Binds"] or [] if bind.startswith("/")]
    published = deployment.container.attrs["NetworkSettings"]["Ports"]
    assert [(b["HostIp"]) for bs in published.values() for b in bs or []] == ["127.0.0.1"]


def test_two_stacks_share_a_host_and_data_survives_destroy_until_its_name_is_said(
    deployment: Deployment, own_stack: Stack, docker_client: docker.DockerClient
):
    own_stack.up()
    other = Deployment(own_stack, own_stack.outputs()["url"], docker_client)
    other.run("opencode-user", "add", USER, stdin=f"{PASSWORD}\n")
    session = requests.post(f"{other.url}/session", auth=other.basic, json={}, timeout=30).json()
    other.put("/workspace/kept.txt", "kept")
    assert deployment.get("/session").status_code == requests.codes.ok, "the first is undisturbed"

    own_stack.destroy()
    with pytest.raises(docker.errors.NotFound):
        docker_client.containers.get(f"opencode-{own_stack.name}")
    assert len(volumes(docker_client, own_stack)) == len(Volume)

    own_stack.up()
    assert other.get(f"/session/{session['id']}").json()["id"] == session["id"]
    assert other.run("cat", "/workspace/kept.txt") == "kept"

    own_stack.configure({"delete_data_on_destroy": own_stack.name})
    own_stack.up()
    assert other.get(f"/session/{session['id']}").json()["id"] == session["id"]
    own_stack.destroy()
    assert not volumes(docker_client, own_stack)


def test_a_new_image_replaces_the_container_and_keeps_sessions_and_users(
    own_stack: Stack, docker_client: docker.DockerClient, tmp_path: Path, project: Path
):
    own_stack.up()
    own = Deployment(own_stack, own_stack.outputs()["url"], docker_client)
    own.run("opencode-user", "add", USER, stdin=f"{PASSWORD}\n")
    session = requests.post(f"{own.url}/session", auth=own.basic, json={}, timeout=30).json()
    before = own.container

    marker = project / "docker/rootfs/etc/test-marker"
    marker.write_text("another image")
    try:
        shown = own_stack.preview()
        own_stack.up()
        assert "replace" in shown, "the preview says that the container is replaced"
        assert own.container.id != before.id
        assert own.run("cat", "/etc/test-marker") == "another image"
        assert own.get(f"/session/{session['id']}").json()["id"] == session["id"]
    finally:
        marker.unlink()


def test_a_killed_container_comes_back_with_its_data_at_the_next_up(
    own_stack: Stack, docker_client: docker.DockerClient
):
    own_stack.up()
    own = Deployment(own_stack, own_stack.outputs()["url"], docker_client)
    own.run("opencode-user", "add", USER, stdin=f"{PASSWORD}\n")
    session = requests.post(f"{own.url}/session", auth=own.basic, json={}, timeout=30).json()
    own.container.kill()
    own.container.remove(force=True)
    own_stack.refresh()
    own_stack.up()
    assert own.get(f"/session/{session['id']}").json()["id"] == session["id"]
    own_stack.preview("--expect-no-changes")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"port": "70000"}, ["opencode:port = '70000' should be less than", "fix: pulumi config"]),
        ({"port": "many"}, ["port", "integer"]),
        ({"bind_address": "0.0.0.0"}, ["opencode:bind_address = '0.0.0.0' can be reached"]),
        ({"image_source": "guess"}, ["should be 'prebuilt' or 'build'"]),
        ({"image_source": "prebuilt"}, ["opencode:prebuilt_image = '' is empty"]),
        ({"prebuilt_image": "x:latest"}, ["names no digest"]),
        ({"docker_host": "tcp://127.0.0.1:2375"}, ["is not a local Docker socket"]),
        ({"extra_ca_file": "/nowhere.pem"}, ["does not exist"]),
        ({"memory_mb": "5"}, ["opencode:memory_mb = '5'"]),
        ({"cpus": "-1"}, ["opencode:cpus = '-1'"]),
        ({"delete_data_on_destroy": "yes"}, ["is not the name of this stack"]),
        ({"target": "moon"}, ["opencode:target = 'moon'"]),
        ({"prot": "1"}, ["is not a setting", "did you mean port?"]),
        (
            {"port": "0", "memory_mb": "5", "bind_address": "everywhere"},
            ["3 settings", "opencode:port = '0'", "opencode:memory_mb = '5'", "'everywhere'"],
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be_used_stop_preview_and_are_all_named(
    project: Path,
    pulumi_env: dict[str, str],
    build_settings: dict[str, str],
    settings: dict[str, str],
    words: list[str],
):
    stack = Stack(f"invalid-{os.getpid()}", project, pulumi_env)
    stack.create(build_settings | settings)
    try:
        with pytest.raises(PulumiFailedError) as caught:
            stack.preview()
    finally:
        stack.pulumi("stack", "rm", "--yes", stack.name)
    text = str(caught.value)
    for expected in words:
        assert expected in text
    assert not re.search(r"Traceback|File \"", text)


def test_a_stack_that_encrypts_answers_on_https_and_keeps_its_certificate(
    own_stack: Stack, docker_client: docker.DockerClient, tmp_path: Path
):
    metrics, redirect = free_port(), free_port()
    own_stack.configure(
        {"tls": "internal", "http_port": str(redirect), "metrics_port": str(metrics)}
    )
    own_stack.up()
    own = Deployment(own_stack, own_stack.outputs()["url"], docker_client)
    assert own.url.startswith("https://127.0.0.1:")
    authority = tmp_path / "ca.pem"
    authority.write_text(own.run("opencode-certificate", "ca"))
    assert requests.get(f"{own.url}/health", verify=str(authority), timeout=10).json()["healthy"]
    sent_on = requests.get(f"http://127.0.0.1:{redirect}/a?b", allow_redirects=False, timeout=10)
    assert sent_on.headers["Location"] == f"{own.url}/a?b"
    counted = requests.get(f"http://127.0.0.1:{metrics}/metrics", timeout=10).text
    assert "opencode_cloud_opencode_healthy 1" in counted
    own_stack.preview("--expect-no-changes")

    own.container.remove(force=True)
    own_stack.refresh()
    own_stack.up()
    assert requests.get(f"{own.url}/health", verify=str(authority), timeout=10).ok


def test_an_address_that_others_can_reach_is_warned_about_at_every_up(own_stack: Stack):
    own_stack.configure({"bind_address": "127.0.0.2"})
    assert "can be reached by other machines" not in own_stack.preview()
    own_stack.configure({"bind_address": "0.0.0.0", "allow_network_exposure": "true"})
    assert "0.0.0.0" in own_stack.preview()
    for _ in range(2):
        assert "can be reached by other machines" in own_stack.preview()


def test_a_port_in_use_stops_up_with_the_port_in_the_message(
    own_stack: Stack, deployment: Deployment
):
    taken = deployment.url.rsplit(":", 1)[1]
    own_stack.configure({"port": taken})
    with pytest.raises(PulumiFailedError) as caught:
        own_stack.up()
    assert taken in str(caught.value)
    own_stack.configure({"port": str(free_port())})
    own_stack.up()
