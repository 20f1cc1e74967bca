"""`occ setup`: its questions on a terminal, and the same by options."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from tests.engine import terminal
from tests.engine.deployment import PASSWORD, USER, free_port
from tests.engine.operator import Operator

ENTER, ALL_BACK, CONTROL_C = "\r", "\x15", "\x03"
KEY = "planted-key-planted"


@pytest.fixture(scope="module")
def newcomer(
    root: Path,
    engine_path: Path,
    image: str,
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operator]:
    """Somebody with a checkout, and no deployment yet."""
    # Every layer of the image is in the engine's cache.
    assert engine_path
    assert image
    folder = tmp_path_factory.mktemp("setup")
    operator = Operator(folder, f"setup-{os.getpid()}", free_port(), docker_client)
    operator.prepare(root)
    yield operator
    operator.remove()


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """What is waited for takes a deployment's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal, "SECONDS", 240)
        yield


def objects(operator: Operator) -> list[str]:
    label = f"org.opencode-cloud.stack={operator.stack}"
    containers = operator.client.containers.list(all=True, filters={"label": label})
    volumes = operator.client.volumes.list(filters={"label": label})
    return [each.name or "" for each in (*containers, *volumes)]


def files(folder: Path) -> dict[str, int]:
    made_by_python = {".venv", "__pycache__"}
    found = (path for path in folder.rglob("*") if path.is_file())
    kept = (path for path in found if made_by_python.isdisjoint(path.parts))
    return {str(path): path.stat().st_mtime_ns for path in kept}


def test_without_a_terminal_it_says_the_whole_command(newcomer: Operator):
    before = files(newcomer.folder)
    said = newcomer.occ.refused("setup", "--port", "5000", "--user", USER)
    assert f"occ --host {newcomer.stack} setup --port 5000 --user {USER} --generate --yes" in said
    assert files(newcomer.folder) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--port", "70000"), "opencode:port = '70000'"),
        (("--bind-address", "0.0.0.0"), "can be reached by other machines"),
        (("--image-source", "prebuilt"), "name the image by its digest"),
        (("--mount", "/nowhere/at/all:/workspace/x"), "does not exist"),
        (("--restart-policy", "sometimes"), "on-failure:5"),
        (("--user", "Ada Lovelace"), "cannot be a user name"),
        (("--password-stdin",), "at least 8 characters"),
        (("--api-key-file", "OPENAI_API_KEY=/nowhere"), "/nowhere"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_changed(
    newcomer: Operator, options: tuple[str, ...], words: str
):
    before = files(newcomer.folder)
    assert words in newcomer.occ.refused("setup", "--yes", *options, stdin=b"short\n")
    assert (files(newcomer.folder), objects(newcomer)) == (before, [])


def test_ctrl_c_at_a_question_leaves_nothing(newcomer: Operator):
    before = files(newcomer.folder)
    with newcomer.occ.on_terminal("setup") as screen:
        screen.expect("The image")
        screen.press(ENTER)
        screen.expect("Answer at")
        screen.press(CONTROL_C)
        screen.expect("Nothing was changed.")
        assert screen.ends() == 130
    assert (files(newcomer.folder), objects(newcomer)) == (before, [])


def test_no_at_the_end_leaves_nothing(newcomer: Operator):
    before = files(newcomer.folder)
    given = ("--image-source", "build", "--bind-address", "127.0.0.1", "--restart-policy", "no")
    with newcomer.occ.on_terminal("start") as screen:
        # The first run of what needs a deployment offers to make it.
        screen.expect("Set ")
        screen.press(f"no{ENTER}")
        screen.expect("To set it up later")
        assert screen.ends() == 1
    with newcomer.occ.on_terminal(
        "setup", *given, "--generate", "--mount", "/etc:/workspace/etc"
    ) as screen:
        screen.expect("Port:")
        screen.press(f"{ALL_BACK}{newcomer.port}{ENTER}")
        screen.expect("Mount it all the same?")
        screen.press("n")
        screen.expect("Nothing was changed.")
        assert screen.ends() == 1
    assert (files(newcomer.folder), objects(newcomer)) == (before, [])


@pytest.fixture(scope="module")
def conversation(newcomer: Operator) -> str:
    """The whole of it, with a taken port, and cut off once; gives the last screen."""
    work = newcomer.folder / "work"
    work.mkdir(mode=0o777)
    work.chmod(0o777)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with newcomer.occ.on_terminal("setup", "--image-source", "build") as screen:
            screen.expect("Answer at")
            screen.press(ENTER)
            screen.expect("Port:")
            screen.press(f"{ALL_BACK}{taken}{ENTER}")
            screen.expect("is in use by")
            screen.press(f"{ALL_BACK}{newcomer.port}{ENTER}")
            screen.expect("Folders (empty")
            screen.press(f"relative:/workspace/x{ENTER}")
            screen.expect("not an absolute path")
            screen.press(f"{ALL_BACK}{work}:/workspace/work:ro{ENTER}")
            screen.expect("Restart it")
            screen.press(ENTER)
            screen.expect("First user")
            screen.press(f"{ALL_BACK}{USER}{ENTER}")
            screen.expect("Password of")
            # The second choice: to type one.
            screen.press(f"j{ENTER}")
            screen.expect(f"Password for {USER}")
            screen.press(f"{PASSWORD}{ENTER}")
            screen.expect("The same again")
            screen.press(f"{PASSWORD}{ENTER}")
            screen.expect("Name of a key")
            screen.press(f"OPENAI_API_KEY{ENTER}")
            screen.expect("Value of OPENAI_API_KEY")
            screen.press(f"{KEY}{ENTER}")
            screen.expect("Name of a key")
            screen.press(ENTER)
            shown = screen.expect("Do it?")
            assert f"this machine, for the stack '{newcomer.stack}'" in shown
            assert f"http://127.0.0.1:{newcomer.port}" in shown
            screen.press("y")
            # Cut off in the work: run again, it goes on.
            screen.expect("Deployment")
            screen.press(CONTROL_C)
            screen.expect("was stopped")
            assert screen.ends() == 130
    with newcomer.occ.on_terminal("setup", "--user", USER, "--password-stdin", "--yes") as screen:
        screen.expect(f"Password for {USER}")
        screen.press(f"{PASSWORD}{ENTER}")
        assert screen.ends() == 0
        return screen.shown


def test_the_wizard_ends_with_a_login_that_works(conversation: str, newcomer: Operator):
    assert f"opencode runs on this machine, as the stack '{newcomer.stack}'" in conversation
    deployment = newcomer.deployment
    deployment.wait_healthy()
    assert deployment.get("/").status_code == requests.codes.ok
    wrong = requests.get(f"{deployment.url}/", auth=(USER, "not the password"), timeout=30)
    assert wrong.status_code == requests.codes.unauthorized


def test_mount_and_key_are_where_they_belong(conversation: str, newcomer: Operator):
    assert conversation
    facts = newcomer.deployment.container.attrs
    mounts = {mount["Destination"]: mount for mount in facts["Mounts"]}
    assert not mounts["/workspace/work"]["RW"]
    # Before the run that was cut off had come to the deployment.
    assert "OPENAI_API_KEY" in newcomer.occ("secret", "list")


def test_no_password_and_no_key_is_kept_in_plain_words(conversation: str, newcomer: Operator):
    assert conversation
    keeping = [
        path
        for path in newcomer.folder.rglob("*")
        if path.is_file()
        and {PASSWORD, KEY} & {w for w in (PASSWORD, KEY) if w.encode() in path.read_bytes()}
    ]
    assert keeping == []


def test_again_it_offers_what_was_answered_and_changes_nothing(
    conversation: str, newcomer: Operator
):
    assert conversation
    before = newcomer.stack_file.read_text()
    started = newcomer.deployment.container.attrs["State"]["StartedAt"]
    said = newcomer.occ("setup", "--yes")
    assert "Nothing changes in the running deployment" in said
    assert f"{USER} can log in already" in said
    assert newcomer.stack_file.read_text() == before
    assert newcomer.deployment.container.attrs["State"]["StartedAt"] == started


def test_a_restart_policy_is_changed_without_an_interruption(conversation: str, newcomer: Operator):
    assert conversation
    started = newcomer.deployment.container.attrs["State"]["StartedAt"]
    for policy, name, times in (("on-failure:3", "on-failure", 3), ("unless-stopped",) * 2 + (0,)):
        said = newcomer.occ("setup", "--yes", "--restart-policy", policy)
        assert "without an interruption" in said
        facts = newcomer.deployment.container.attrs
        assert facts["HostConfig"]["RestartPolicy"] == {"Name": name, "MaximumRetryCount": times}
        assert facts["State"]["StartedAt"] == started
        again = newcomer.occ("setup", "--yes")
        assert "no change" in again


def test_a_port_that_somebody_has_is_refused_with_a_free_one(conversation: str, newcomer: Operator):
    assert conversation
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = newcomer.occ.refused("setup", "--yes", "--port", str(port))
    assert f"Port {port} is in use by " in said
    assert f"occ --host {newcomer.stack} setup --port " in said


def test_an_image_that_came_anew_under_its_name_is_what_runs(
    conversation: str, newcomer: Operator, docker_client: docker.DockerClient
):
    """A rebuild gives the same name: only looking shows that it is another image."""
    assert conversation
    container = newcomer.deployment.container
    assert container.image
    own = container.image.id
    name = next(tag for tag in container.image.tags if f":{newcomer.stack}-" in tag)
    fresh = docker_client.containers.create(name)
    other = fresh.commit(changes="LABEL made=before")
    fresh.remove()
    assert other.tag(*name.split(":"))
    container.stop()
    newcomer.occ("setup", "--yes")
    assert newcomer.deployment.container.attrs["Image"] == other.id

    said = newcomer.occ("start", "--cached-rebuild-sandbox-image")
    assert "Applied: " in said
    assert newcomer.deployment.container.attrs["Image"] == own
    assert newcomer.deployment.get("/").status_code == requests.codes.ok
    # What ran before has no name any more, and is not left lying about.
    assert other.id not in [image["Id"] for image in docker_client.api.images(all=True)]
    assert "Nothing was to be changed" in newcomer.occ("start", "--cached-rebuild-sandbox-image")


def test_an_image_is_not_got_in_a_way_that_the_settings_do_not_say(
    conversation: str, newcomer: Operator
):
    assert conversation
    said = newcomer.occ.refused("start", "--pull-sandbox-image")
    assert "--cached-rebuild-sandbox-image" in said
    done = newcomer.occ.attempt("start", "--pull-sandbox-image", "--full-rebuild-sandbox-image")
    assert done.returncode == 2
