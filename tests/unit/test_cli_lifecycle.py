import re

import pytest

from opencode_cloud.cli.browser import has_screen
from opencode_cloud.ops import lifecycle, terminal
from opencode_cloud.ops.errors import EngineError, OperationError
from tests.unit.cli_parts import STOPPED, FakeEngine, container, deployment


@pytest.mark.parametrize(
    ("message", "port"),
    [
        (
            "on endpoint x: Bind for 127.0.0.1:4096 failed: port is already allocated",
            "4096",
        ),
        (
            "userland proxy: listen tcp4 127.0.0.1:4977: bind: address already in use",
            "4977",
        ),
        (
            "failed to bind host port for 0.0.0.0:443:172.17.0.2:8443/tcp: address already in use",
            "443",
        ),
        ("failed to bind host port 127.0.0.1:4096/tcp: address already in use", "4096"),
        ("no such image: sha256:4096", ""),
    ],
)
def test_a_port_in_use_is_found_in_what_the_engine_says(message: str, port: str):
    assert lifecycle.taken_port(message) == port


def test_a_port_that_another_container_has_is_told_with_its_owner():
    taken = EngineError("Bind for 127.0.0.1:4096 failed: port is already allocated", 500)
    found = deployment(
        container(state=STOPPED),
        **{
            "/containers/c0ffee/start": taken,
            "/containers/json": [{"Names": ["/squatter"], "Ports": [{"PublicPort": 4096}]}],
        },
    )
    with pytest.raises(OperationError) as caught:
        lifecycle.start(found, lambda _: None)
    said = str(caught.value)
    assert "Port 4096 is in use by the container squatter" in said
    assert "docker stop squatter" in said
    assert re.search(r"\(occ config set port \d+ --apply\)", said)


def test_a_port_of_another_program_is_told_with_how_to_find_it():
    taken = EngineError("listen tcp4 127.0.0.1:4096: bind: address already in use", 500)
    answers = {"/containers/c0ffee/start": taken, "/containers/json": []}
    found = deployment(container(state=STOPPED), **answers)
    with pytest.raises(OperationError, match="ss -ltnp 'sport = :4096'"):
        lifecycle.start(found, lambda _: None)


def test_stopping_what_is_stopped_asks_nothing_of_the_engine():
    found = deployment(container(state=STOPPED))
    assert not lifecycle.stop(found, lambda _: None)
    assert isinstance(found.engine, FakeEngine)
    assert found.engine.asked == []


def test_what_needs_a_running_container_says_how_to_start_it():
    with pytest.raises(OperationError, match=r"it is exited.*Start it: occ start"):
        deployment(container(state=STOPPED)).require_running()


def test_a_shell_is_bash_and_a_command_is_itself():
    assert terminal.command_line([], terminal=True) == ["bash", "--login"]
    assert terminal.command_line(["ls", "a b"], terminal=False)[-2:] == ["ls", "a b"]


def test_a_command_gets_the_terminals_kind_and_no_other_variable_of_ours():
    ours = {"TERM": "foot", "SECRET": "x"}
    given = terminal.environment(terminal.AGENT, ours, terminal=True)
    assert "TERM=foot" in given
    assert "HOME=/home/opencode" in given
    assert not any("SECRET" in entry for entry in given)
    assert not any(
        "TERM" in each for each in terminal.environment(terminal.ROOT, ours, terminal=False)
    )


@pytest.mark.parametrize(
    ("platform", "environment", "has"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "w"}, True),
        ("linux", {"BROWSER": "lynx"}, True),
        ("darwin", {}, True),
    ],
)
def test_a_browser_is_opened_only_where_it_can_show_itself(
    platform: str, environment: dict[str, str], has: bool
):
    assert has_screen(platform, environment) is has
