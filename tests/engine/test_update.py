"""Updates of a real deployment: to another opencode, to a broken image, cut off, and back."""

import io
import json
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from docker.errors import APIError, NotFound

from opencode_cloud.ops import releases, update_plan, versions
from opencode_cloud.ops.deployment import find
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.docker_host import DEFAULT_SOCKET
from tests.engine.deployment import PASSWORD, USER
from tests.engine.operator import Operator
from tests.engine.registry import publish, serving

SECONDS = 600
RUN = "docker/rootfs/usr/lib/opencode-cloud/services/opencode/run"
NOBODYS = "sha512-" + "a" * 86 + "=="
DATABASE = "/home/opencode/.local/share/opencode/opencode.db"


@pytest.fixture
def occ(operated: Operator) -> "Patient":
    return Patient(operated)


class Patient:
    """The operator's occ, which may take its time."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Run it and go on."""
        occ = self.operator.occ
        return subprocess.Popen(
            occ.command(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=occ.environment,
            text=True,
        )

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run it; gives its result, or what it says when it fails as it must."""
        begun = self.begin(*words)
        out, said = begun.communicate(timeout=SECONDS)
        assert begun.returncode == code, out + said
        assert "Traceback" not in said
        return said if code else out


def version(operator: Operator) -> str:
    return requests.get(f"{operator.deployment.url}/health", timeout=10).json()["version"]


def sessions(operator: Operator) -> set[str]:
    return {session["title"] for session in operator.deployment.get("/session").json()}


def begin_session(operator: Operator, title: str) -> None:
    url = f"{operator.deployment.url}/session"
    made = requests.post(url, json={"title": title}, auth=(USER, PASSWORD), timeout=30)
    assert made.ok, made.text


def container(operator: Operator) -> str:
    return operator.client.containers.get(f"opencode-{operator.stack}").id or ""


def wait_for_another_container(operator: Operator, old: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if container(operator) != old:
                return
        except NotFound:
            pass
        time.sleep(0.05)
    pytest.fail("the container was never replaced")


@pytest.fixture
def changed_checkout(operated: Operator) -> Iterator[None]:
    """A checkout whose image is another one, and works as well."""
    file = operated.checkout / RUN
    before = file.read_text()
    file.write_text(f"{before}# {time.time()}\n")
    yield
    file.write_text(before)


@pytest.fixture
def broken_checkout(operated: Operator) -> Iterator[None]:
    """A checkout whose opencode ruins its database and ends."""
    file = operated.checkout / RUN
    before = file.read_text()
    ruin = f"rm -f {DATABASE}*; echo ruined > {DATABASE}; echo 'this opencode is broken'; exit 1"
    head, rest = before.split("\n", 1)
    file.write_text(f"{head}\nexec 2>&1; {ruin}\n{rest}")
    yield
    file.write_text(before)


def neighbour(operated: Operator, pinned: str) -> str:
    """A real version of opencode beside the pinned one."""
    registry = releases.registry_of(find(operated.stack, Engine(DEFAULT_SOCKET)))
    known = releases.package("x64", registry).integrities
    of_major = [name for name in known if versions.order(name)[0] == versions.order(pinned)[0]]
    return max((name for name in of_major if name != pinned), key=versions.order)


def test_another_opencode_and_back_and_there_again(operated: Operator, occ: Patient):
    pinned = update_plan.pinned(operated.checkout)
    other = neighbour(operated, pinned)
    begin_session(operated, "before")
    assert version(operated) == pinned
    operated.occ("env", "set", "GREETING=hello")
    operated.occ("secret", "set", "KEPT", "--stdin", stdin=b"a secret\n")

    done = json.loads(occ("update", "--to", other, "--yes", "--json"))
    assert (done["opencode_before"], done["opencode"]) == (pinned, other)
    assert version(operated) == other
    assert sessions(operated) == {"before"}
    assert_variables_are_there(operated)
    record = operated.data / "rollback" / operated.stack / f"{done['point']}.json"
    for kept in (record, record.with_suffix(".tar")):
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    text = operated.stack_file.read_text()
    assert f'opencode_version: "{other}"' in text
    assert "opencode_integrity: x64:sha512-" in text
    # What runs is what the settings say, and nobody has to do anything for it to stay.
    assert operated.occ("start").startswith("It runs: ")

    begin_session(operated, "after")
    operated.deployment.put("/workspace/after.txt", "a person's work")
    operated.occ("user", "add", "bob", "--generate")
    said = occ("update", "--rollback", code=1)
    assert "Sessions, messages, keys" in said
    assert said.rstrip().endswith("update --rollback --yes")
    assert version(operated) == other

    occ("update", "--rollback", "--yes")
    assert version(operated) == pinned
    assert sessions(operated) == {"before"}
    assert operated.occ("shell", "cat", "/workspace/after.txt") == "a person's work"
    assert "bob" in operated.occ("user", "list")

    occ("update", "--rollback", "--yes")
    assert version(operated) == other
    assert sessions(operated) == {"before", "after"}
    points = json.loads(operated.occ("update", "--points", "--json"))
    assert [point["reason"] for point in points] == ["way back", "way back", "update"]

    # The first one is still there, after two more.
    first = ("--rollback", "--point", done["point"], "--keep-data", "--yes")
    occ("update", *first)
    assert version(operated) == pinned
    assert sessions(operated) == {"before", "after"}
    assert_variables_are_there(operated)


def assert_variables_are_there(operated: Operator) -> None:
    assert operated.occ("shell", "printenv", "GREETING") == "hello\n"
    assert operated.occ("shell", "--root", "cat", "/etc/opencode-cloud/secrets/KEPT") == "a secret"


def test_what_is_not_the_version_that_was_named_is_never_built(operated: Operator, occ: Patient):
    before, old = operated.stack_file.read_text(), container(operated)
    pins = update_plan.pinned(operated.checkout)
    other = {"opencode_version": neighbour(operated, pins), "opencode_integrity": f"x64:{NOBODYS}"}
    operated.deployment.stack.configure(other)
    try:
        said = occ("update", code=1)
    finally:
        operated.stack_file.write_text(before)
    assert "EINTEGRITY" in said
    assert container(operated) == old
    assert operated.deployment.container.status == "running"


@pytest.mark.usefixtures("broken_checkout")
def test_what_is_broken_is_put_back_by_itself_with_all_data(operated: Operator, occ: Patient):
    before = version(operated), sessions(operated), operated.occ("user", "list")
    began = time.monotonic()
    said = occ("update", code=1)
    assert time.monotonic() - began < 150
    assert "opencode ended 5 times right after its start" in said
    assert "this opencode is broken" in said
    assert "All is as it was" in said
    assert (version(operated), sessions(operated), operated.occ("user", "list")) == before
    assert operated.occ("start").startswith("It runs: ")


@pytest.mark.usefixtures("changed_checkout")
def test_stopped_in_the_middle_it_is_as_before_and_says_how_to_go_on(
    operated: Operator, occ: Patient
):
    before = version(operated), sessions(operated)
    old = container(operated)
    update = occ.begin("update")
    wait_for_another_container(operated, old)
    said = occ("update", code=1)
    assert f"is being changed by occ --host {operated.stack} update (process {update.pid}," in said
    update.send_signal(signal.SIGINT)
    time.sleep(1)
    update.send_signal(signal.SIGINT)
    out, said = update.communicate(timeout=SECONDS)
    assert update.returncode == 130, out + said
    assert "The update was stopped." in said
    assert f"To try again: occ --host {operated.stack} update" in said
    assert (version(operated), sessions(operated)) == before


@pytest.mark.usefixtures("changed_checkout")
def test_killed_in_the_middle_the_next_update_puts_that_in_order_first(
    operated: Operator, occ: Patient
):
    before = version(operated), sessions(operated)
    old = container(operated)
    update = occ.begin("update")
    wait_for_another_container(operated, old)
    update.kill()
    update.communicate(timeout=SECONDS)
    occ("update")
    assert (version(operated), sessions(operated)) == before
    # It is what the checkout makes, with the data of before.
    assert "kept_image" not in operated.stack_file.read_text()
    assert operated.occ("update").startswith(f"opencode {before[0]} runs, from the image")


@pytest.fixture
def derived(
    operated: Operator, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """Two images in a registry: the checkout's, and one that differs in a label alone."""
    client = operated.client
    file = io.BytesIO(f"FROM {image}\nLABEL derived=yes\n".encode())
    other, _ = client.images.build(fileobj=file, rm=True)
    with serving(tmp_path_factory.mktemp("registry")) as registry:
        published = [
            publish(client, registry, each, tag)
            for each, tag in ((image, "1"), (other.id or "", "2"))
        ]
        yield published[0], published[1]
    for name in (*published, other.id or ""):
        with suppress(APIError):
            client.images.remove(name, force=True)


def test_a_prebuilt_image_goes_to_another_digest_and_back(
    operated: Operator, occ: Patient, derived: tuple[str, str]
):
    ours, other = derived
    stack = operated.deployment.stack
    stack.configure({"image_source": "prebuilt", "prebuilt_image": ours})
    occ("update")
    begin_session(operated, "prebuilt")
    assert "no feed of releases yet" in occ("update", "--to", "latest", code=1)
    assert "no feed of releases yet" in operated.occ("update", "--check")
    occ("update", "--to", other)
    assert operated.deployment.container.labels["derived"] == "yes"
    assert "prebuilt" in sessions(operated)
    with operated.occ.on_terminal("update", "--rollback") as terminal:
        assert "Sessions, messages, keys" in terminal.expect("Go back? [y/N]")
        terminal.press("n\n")
        terminal.expect("Nothing was changed.")
        assert terminal.ends() == 1
    occ("update", "--rollback", "--yes")
    assert "derived" not in operated.deployment.container.labels
    assert f"prebuilt_image: {ours}" in operated.stack_file.read_text().replace('"', "")
    assert "kept_image" not in operated.stack_file.read_text()
