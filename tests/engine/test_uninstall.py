"""`occ uninstall` on a deployment of its own, beside another that it must leave alone."""

import dataclasses
import signal
import time
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests.engine.deployment import PASSWORD, USER, Deployment
from tests.engine.images import images_of
from tests.engine.operator import Operator

AUTH = (USER, PASSWORD)
VOLUMES = 7


def names(client: docker.DockerClient, stack: str) -> dict[str, list[str]]:
    """What Docker has of a stack."""
    mine: dict[str, Any] = {"label": f"org.opencode-cloud.stack={stack}"}
    return {
        "containers": [each.name or "" for each in client.containers.list(all=True, filters=mine)],
        "networks": [each.name or "" for each in client.networks.list(filters=mine)],
        "volumes": sorted(each.name for each in client.volumes.list(filters=mine)),
        "images": list(images_of(client, stack)),
    }


@pytest.fixture
def other(deployment: Deployment, docker_client: docker.DockerClient):
    """The shared deployment, which has to be as it was."""
    before = names(docker_client, deployment.stack.name)
    identifier = deployment.container.id
    yield
    assert names(docker_client, deployment.stack.name) == before
    assert deployment.container.id == identifier
    assert deployment.get("/session").status_code == requests.codes.ok


@pytest.fixture
def up(operated: Operator) -> Operator:
    """The operator's deployment, made again where a test has removed it."""
    if not operated.stack_file.exists() or not names(operated.client, operated.stack)["containers"]:
        operated.start()
    return operated


def remembered(operator: Operator) -> str:
    """Begin a session; gives its id."""
    url = f"{operator.deployment.url}/session"
    answer = requests.post(url, auth=AUTH, json={"title": "kept"}, timeout=30)
    return answer.json()["id"]


def sessions(operator: Operator) -> list[str]:
    answer = requests.get(f"{operator.deployment.url}/session", auth=AUTH, timeout=30)
    return [session["id"] for session in answer.json()]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "Say so: occ --host {stack} uninstall --yes"),
        ("--quiet", "Say so: occ --host {stack} uninstall --yes"),
        ("--data --yes", "uninstall --data --confirm {stack} --yes"),
        ("--data --confirm wrong --yes", "name is {stack}, and not 'wrong'"),
    ],
)
def test_nothing_is_removed_that_nobody_agreed_to(up: Operator, line: str, said: str):
    before = names(up.client, up.stack)
    done = up.occ.attempt("uninstall", *line.split())
    assert done.returncode == 1
    assert said.format(stack=up.stack) in done.stderr.decode()
    assert names(up.client, up.stack) == before


def test_on_a_terminal_it_shows_what_goes_and_asks(up: Operator):
    before = names(up.client, up.stack)
    with up.occ.on_terminal("uninstall") as terminal:
        shown = terminal.expect("Remove it? [y/N]")
        assert f"the container opencode-{up.stack}" in shown
        assert f"the image {before['images'][0]}" in shown
        assert "projects stay" in shown
        terminal.press("\n")
        assert terminal.ends() == 1
    with up.occ.on_terminal("uninstall", "--data", "--yes") as terminal:
        shown = terminal.expect("to delete it:")
        assert f"THE DATA in the volume opencode-{up.stack}-workspace" in shown
        terminal.press("yes\n")
        assert terminal.ends() == 1
        assert "and not 'yes'" in terminal.shown
    assert names(up.client, up.stack) == before


@pytest.mark.usefixtures("other")
def test_all_goes_but_the_data_which_the_next_start_finds(up: Operator):
    session = remembered(up)
    backup = up.data / "backups" / up.stack / "one.tar"
    backup.parent.mkdir(parents=True, exist_ok=True)
    backup.write_text("a backup")
    shown = up.occ("uninstall", "--yes")
    found = names(up.client, up.stack)
    assert (found["containers"], found["networks"], found["images"]) == ([], [], [])
    assert len(found["volumes"]) == VOLUMES
    assert not up.stack_file.exists()
    assert not list(up.data.glob(f"state/.pulumi/stacks/opencode/{up.stack}.json"))
    for words in (f"opencode-{up.stack}-data", "docker volume rm", str(backup.parent)):
        assert words in shown
    assert backup.exists()
    again = up.occ("uninstall", "--yes")
    assert "There is nothing" in again
    assert "docker volume rm" in again
    up.start()
    assert session in sessions(up)


@pytest.mark.usefixtures("other")
def test_a_stack_that_is_armed_to_delete_its_data_is_not_taken_down_by_a_yes(up: Operator):
    up.occ("config", "set", "delete_data_on_destroy", up.stack, "--apply", "--yes")
    said = up.occ.attempt("uninstall", "--yes").stderr.decode()
    assert "armed to delete its data" in said
    found = names(up.client, up.stack)
    assert (len(found["volumes"]), len(found["containers"])) == (VOLUMES, 1)
    up.occ("config", "unset", "delete_data_on_destroy", "--apply", "--yes")


@pytest.mark.usefixtures("other")
def test_interrupted_it_goes_on_when_it_is_run_again(up: Operator):
    session = remembered(up)
    running = up.occ.begin("uninstall", "--yes")
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=150)
    assert running.returncode in (0, 130), said
    assert b"Traceback" not in said
    up.occ("uninstall", "--yes")
    found = names(up.client, up.stack)
    assert (found["containers"], found["networks"], found["images"]) == ([], [], [])
    up.start()
    assert session in sessions(up)


def test_without_pulumi_it_says_how_and_force_does_it_by_labels(up: Operator, tmp_path: Path):
    bare = up.environment | {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    occ = dataclasses.replace(up.occ, shell=bare)
    home = up.data / "pulumi-home"
    home.rename(home.with_name("aside"))
    try:
        said = occ.refused("uninstall", "--yes", "--quiet")
        assert f"occ --host {up.stack} uninstall --force" in said
        assert names(up.client, up.stack)["containers"]
        occ("uninstall", "--yes", "--force")
    finally:
        home.with_name("aside").rename(home)
    found = names(up.client, up.stack)
    assert (found["containers"], found["networks"], found["images"]) == ([], [], [])
    assert len(found["volumes"]) == VOLUMES
    assert not up.stack_file.exists()
    assert not list(up.data.glob(f"state/.pulumi/**/{up.stack}*"))


def test_what_somebody_else_made_is_left_to_them(up: Operator, tmp_path: Path):
    stranger = dataclasses.replace(
        up.occ, shell=up.environment | {"XDG_DATA_HOME": str(tmp_path / "share")}
    )
    said = stranger.refused("uninstall", "--yes", "--quiet")
    assert "does not know the stack" in said
    assert names(up.client, up.stack)["containers"]


@pytest.mark.usefixtures("other")
def test_with_its_name_the_data_goes_too_and_all_takes_what_stacks_share(up: Operator):
    backup = up.data / "backups" / up.stack / "two.tar"
    backup.parent.mkdir(parents=True, exist_ok=True)
    backup.write_text("a backup")
    shown = up.occ("uninstall", "--data", "--confirm", up.stack, "--yes", "--all")
    assert all(not found for found in names(up.client, up.stack).values())
    assert sorted(path.name for path in up.data.iterdir()) == ["backups"]
    assert backup.exists()
    assert str(backup.parent) in shown
    assert "docker volume rm" not in shown
