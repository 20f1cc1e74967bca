"""./start, from a fresh clone to a login, on this machine's Docker engine.

What is not proved here: what it installs where Docker, Python and git are missing.
"""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from tests.engine.deployment import free_port
from tests.engine.newcomer import SECONDS, Newcomer, Run
from tests.engine.turns import DEFAULT_PORT, in_turn


@pytest.fixture(scope="module")
def newcomer(
    root: Path, tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Newcomer]:
    folder = tmp_path_factory.mktemp("newcomer")
    newcomer = Newcomer(folder, f"new-{os.getpid()}", free_port(), docker_client)
    newcomer.clone(root)
    yield newcomer
    newcomer.remove()


@dataclass(frozen=True)
class FirstRuns:
    """./start in a new clone: shown, cut off twice, finished."""

    files: dict[str, int]
    plan: Run
    files_after_plan: dict[str, int]
    objects_after_plan: set[str]
    in_packages: Run
    in_deployment: Run
    finished: Run

    @property
    def login(self) -> tuple[str, str, str]:
        """URL, user and password, as the last run showed them."""
        run = self.finished
        return run.field("URL"), run.field("User"), run.field("Password")


@pytest.fixture(scope="module")
def first(newcomer: Newcomer) -> FirstRuns:
    port = ("--port", str(newcomer.port))
    files = newcomer.files()
    plan = newcomer.start("--dry-run", *port)
    files_after_plan, objects = newcomer.files(), newcomer.objects()
    with in_turn(DEFAULT_PORT):
        in_packages = newcomer.start_until("pip install")
        # Given before the settings are: what was asked for is asked for again.
        newcomer.log.unlink()
        in_deployment = newcomer.start_until("pulumi up")
    finished = newcomer.start(*port)
    assert finished.code == 0, finished.out + finished.err
    return FirstRuns(files, plan, files_after_plan, objects, in_packages, in_deployment, finished)


def test_a_dry_run_shows_every_step_and_changes_nothing(first: FirstRuns, newcomer: Newcomer):
    assert first.plan.code == 0, first.plan.err
    steps = re.findall(r"^\[(\d+)/10\]", first.plan.out, re.MULTILINE)
    assert steps == [str(number) for number in range(1, 11)]
    for words in (
        "--require-hashes -r",
        f"pulumi up --stack {newcomer.stack} --yes",
        f"--plaintext port={newcomer.port}",
        "opencode-user add admin",
    ):
        assert words in first.plan.out
    assert first.files_after_plan == first.files
    assert first.objects_after_plan == set()


def test_a_run_that_is_cut_off_says_where_and_leaves_nothing_half_made(first: FirstRuns):
    for run, step in ((first.in_packages, "Python environment"), (first.in_deployment, "Deploym")):
        assert run.code == 130
        assert run.err == "Stopped. Run again, ./start goes on from there.\n"
        assert re.search(rf"^\[\d+/10\] +{step}.* stopped", run.out, re.MULTILINE)
        assert run.seconds < 130, "an interruption is not ignored"
    assert "Python environment   done" in first.in_deployment.out, "half an environment is no one"
    assert "Python environment   already there" in first.finished.out
    assert "Image                already there" in first.finished.out


def test_it_ends_with_a_login_that_works(first: FirstRuns, newcomer: Newcomer):
    url, user, password = first.login
    assert url == f"http://127.0.0.1:{newcomer.port}"
    assert user == "admin"
    assert newcomer.sees_the_app(url, user, password)
    assert not newcomer.sees_the_app(url, user, "not the password")


def test_the_password_is_nowhere_but_on_the_screen(first: FirstRuns, newcomer: Newcomer):
    _, _, password = first.login
    assert first.finished.out.count(password) == 1
    keeping = [
        path
        for path in newcomer.folder.rglob("*")
        if path.is_file() and password.encode() in path.read_bytes()
    ]
    assert keeping == []


def test_what_is_kept_is_the_users_alone(first: FirstRuns, newcomer: Newcomer):
    assert first.finished.code == 0
    for path in (newcomer.data, newcomer.data / "state"):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (newcomer.data / "passphrase", newcomer.log):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_checkout_stays_clean_in_git(first: FirstRuns, newcomer: Newcomer):
    assert first.finished.code == 0
    assert newcomer.git("status", "--porcelain") == ""


def test_a_second_run_changes_nothing_and_takes_seconds(first: FirstRuns, newcomer: Newcomer):
    assert first.finished.code == 0
    before = newcomer.objects()
    container = newcomer.client.containers.get(newcomer.container)
    kept = [newcomer.data / "changes.txt", newcomer.data / "passphrase"]
    contents = [path.read_bytes() for path in kept]

    again = newcomer.start()
    assert again.code == 0, again.err
    assert "Nothing had to be changed." in again.out
    assert len(re.findall(r"^\[\d+/10\] .* already there", again.out, re.MULTILINE)) == 10
    assert not re.search("^  Password", again.out, re.MULTILINE)
    assert newcomer.objects() == before
    started = container.attrs["State"]["StartedAt"]
    container.reload()
    assert container.attrs["State"]["StartedAt"] == started
    assert [path.read_bytes() for path in kept] == contents


def test_plain_pulumi_works_after_eval_of_the_exports(first: FirstRuns, newcomer: Newcomer):
    assert first.finished.code == 0
    exports = 'eval "$(./start --print-env)"'
    preview = f"{exports}; pulumi preview -s {newcomer.stack} --expect-no-changes"
    assert "unchanged" in newcomer.shell(preview)
    assert newcomer.shell(f"{exports}; {exports}; pulumi stack output url") == f"{first.login[0]}\n"


def test_a_port_in_use_is_named_with_its_owner_before_anything_is_changed(
    first: FirstRuns, newcomer: Newcomer
):
    assert first.finished.code == 0
    files = newcomer.files()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refused = newcomer.start("--port", str(port))
    assert refused.code == 2
    assert f"Port {port} is in use by " in refused.err
    assert f"(process {os.getpid()})" in refused.err
    assert "./start --port " in refused.err
    assert newcomer.files() == files


def test_passwords_change_only_when_asked_to(first: FirstRuns, newcomer: Newcomer):
    url, user, generated = first.login
    given = newcomer.start("--password-stdin", stdin="a password of my own\n")
    assert given.code == 0, given.err
    assert "new password for admin" in given.out
    assert "a password of my own" not in given.out + newcomer.log.read_text()
    assert newcomer.sees_the_app(url, user, "a password of my own")
    assert not newcomer.sees_the_app(url, user, generated)

    anew = newcomer.start("--new-password")
    assert newcomer.sees_the_app(url, user, anew.field("Password"))

    other = newcomer.start("--user", "ada")
    assert other.field("User") == "ada"
    assert newcomer.sees_the_app(url, "ada", other.field("Password"))


def test_a_container_that_is_gone_or_stopped_comes_back_with_its_users(
    first: FirstRuns, newcomer: Newcomer
):
    url = first.login[0]
    newcomer.set_password("before it was gone")
    for end in ("remove", "stop"):
        container = newcomer.client.containers.get(newcomer.container)
        container.remove(force=True) if end == "remove" else container.stop()
        back = newcomer.start()
        assert back.code == 0, back.err
        assert newcomer.sees_the_app(url, "admin", "before it was gone")


def test_a_pulumi_that_was_killed_at_work_is_recovered_from(first: FirstRuns, newcomer: Newcomer):
    """A power cut, as near as can be: the lock stays, and a container that Pulumi forgot."""
    url = first.login[0]
    newcomer.set_password("before it was killed")
    newcomer.client.containers.get(newcomer.container).remove(force=True)
    newcomer.log.unlink()
    with newcomer.starting() as process:
        newcomer.wait_for_command("pulumi up", process)
        deadline = time.monotonic() + SECONDS
        while not newcomer.client.containers.list(filters={"name": newcomer.container}):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, out
    assert "pulumi up failed" in err
    assert list((newcomer.data / "state" / ".pulumi" / "locks").rglob("*.json"))

    recovered = newcomer.start()
    assert recovered.code == 0, recovered.err
    assert "freed the stack of a pulumi that was killed" in recovered.out
    assert newcomer.sees_the_app(url, "admin", "before it was killed")
    assert "Nothing had to be changed." in newcomer.start().out


def test_a_second_start_waits_for_the_first(first: FirstRuns, newcomer: Newcomer):
    assert first.finished.code == 0
    newcomer.log.unlink()
    with newcomer.starting() as one:
        newcomer.wait_for_command("pulumi up", one)
        other = newcomer.start()
        assert one.wait(timeout=SECONDS) == 0
    assert other.code == 0, other.err
    assert f"Another ./start is running (process {one.pid}, since " in other.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_that_waits_can_be_stopped_in_every_way(
    first: FirstRuns, newcomer: Newcomer, number: signal.Signals
):
    assert first.finished.code == 0
    newcomer.log.unlink()
    with newcomer.starting() as one, newcomer.starting() as other:
        newcomer.wait_for_command("pulumi up", one)
        assert other.stdout
        assert one.stdout
        said = "Another ./start is running"
        # Whichever came second waits.
        waiting = other if said in other.stdout.readline() else one
        waiting.send_signal(number)
        _, err = waiting.communicate(timeout=SECONDS)
        assert waiting.returncode == 130
        assert err == "Stopped. Run again, ./start goes on from there.\n"


def test_a_lost_data_folder_makes_a_new_stack_that_finds_its_volumes_again(
    first: FirstRuns, newcomer: Newcomer
):
    """The stack file in the checkout is bound to a passphrase that is gone."""
    url = first.login[0]
    newcomer.set_password("before it was lost")
    newcomer.shell(f"rm -r '{newcomer.data}'")
    newcomer.client.containers.get(newcomer.container).remove(force=True)
    anew = newcomer.start()
    assert anew.code == 0, anew.err
    assert newcomer.sees_the_app(url, "admin", "before it was lost")


def test_dry_run_after_all_has_nothing_left_but_to_look(first: FirstRuns, newcomer: Newcomer):
    assert first.finished.code == 0
    files = newcomer.files()
    plan = newcomer.start("--dry-run")
    assert plan.out.count("already there") == 8
    assert "pulumi up" in plan.out
    assert newcomer.files() == files
