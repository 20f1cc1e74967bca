"""An image that is built on this machine, and sent to a host without a registry."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from tests.engine.stack import PulumiFailedError
from tests.machine.conftest import RemoteOperator, remote_operator
from tests.machine.host import Host

SECONDS = 300


@pytest.fixture(scope="module")
def sender(
    root: Path,
    box: Host,
    build_settings: dict[str, str],
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> RemoteOperator:
    """An operator of a stack whose image is built here; the host has none, and no base either."""
    made = remote_operator(root, tmp_path_factory.mktemp("sender"), box, docker_client)
    made.deployment.stack.create(box.settings | build_settings | {"image_built_on": "here"})
    return made


def names_there(there: Host, stack: str) -> list[str]:
    shown = there.as_root(f"docker images --format '{{{{.Tag}}}}' | grep '^{stack}-' || true")
    return shown.split()


def refused(sender: RemoteOperator) -> str:
    """What `occ start` says, behind its progress, of what it cannot do."""
    done = sender.occ.attempt("start")
    assert done.returncode == 1, done
    return done.stderr.decode().partition("occ: ")[2]


def test_plain_pulumi_says_how_an_image_is_sent_that_is_not_there(sender: RemoteOperator):
    with pytest.raises(PulumiFailedError) as caught:
        sender.deployment.stack.up()
    assert "is not on ada@" in str(caught.value)
    assert f"occ --host {sender.stack} start" in str(caught.value)


def test_a_base_that_the_host_cannot_get_is_told_with_the_way_out(sender: RemoteOperator):
    sender.occ("config", "set", "image_built_on", "host")
    said = refused(sender)
    sender.occ("config", "set", "image_built_on", "here")
    assert "image_built_on here" in said


def test_what_is_cut_off_on_the_way_leaves_nothing_there(sender: RemoteOperator):
    with sender.occ.on_terminal("start") as screen:
        # The line is as wide as the terminal, and shows no more.
        screen.expect(" MB (", SECONDS)
        screen.press("\x03")
        assert screen.ends() == 130
    assert names_there(sender.there, sender.stack) == []


@contextmanager
def small_disk(there: Host) -> Iterator[None]:
    """Give its Docker engine a disk that no image of ours fits on."""
    stop, start = "systemctl stop docker.socket docker", "systemctl start docker"
    folder = "/var/lib/docker"
    there.as_root(f"{stop} && mount -t tmpfs -o size=200m disk {folder} && {start}")
    try:
        yield
    finally:
        there.as_root(f"{stop} && umount -R {folder} && {start}")


def test_a_full_disk_is_told_and_what_did_not_fit_is_gone(sender: RemoteOperator):
    with small_disk(sender.there):
        said = refused(sender)
        assert "no space left on device" in said
        assert "The image was not sent" in said
        assert names_there(sender.there, sender.stack) == []


def test_an_image_is_built_here_and_runs_there(sender: RemoteOperator):
    assert "opencode answers" in sender.occ("start")
    status = json.loads(sender.occ("status", "--json"))
    assert (status["health"], status["provenance"]["sent"]) == ("healthy", True)
    assert f"built elsewhere on {status['provenance']['base']}, and sent" in sender.occ("status")
    assert len(names_there(sender.there, sender.stack)) == 1
    # Nothing of it is left here.
    tags = [tag for image in sender.client.images.list() for tag in image.tags]
    assert not [tag for tag in tags if f":{sender.stack}-" in tag]


def test_plain_pulumi_is_content_with_what_was_sent(sender: RemoteOperator):
    sender.deployment.stack.preview("--expect-no-changes", "--refresh")
