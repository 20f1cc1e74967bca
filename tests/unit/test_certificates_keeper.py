from pathlib import Path

import pytest
from certificates import state
from certificates.keeper import Keeper
from certificates.state import State
from gateway.settings import GatewaySettings

NAME, SERVER = "opencode.example.org", "https://acme.example.org/directory"
FAILED = State(name=NAME, server=SERVER, last_error="no", failures=(1, 2, 3, 4, 5))


def known(folder: Path, tls: str, server: str = SERVER) -> State:
    """What a container with these settings takes over from the one before it."""
    state.save(FAILED, folder / state.FILE)
    settings = GatewaySettings(tls=tls, acme_server=server)
    return Keeper(settings, folder, folder, print)._known()


def test_failures_are_remembered_from_one_container_to_the_next(tmp_path: Path):
    assert known(tmp_path, NAME) == FAILED


@pytest.mark.parametrize(
    ("tls", "server"), [("other.example.org", SERVER), (NAME, "https://staging.example.org/d")]
)
def test_another_name_and_another_server_start_afresh(tmp_path: Path, tls: str, server: str):
    assert known(tmp_path, tls, server) == State(name=tls, server=server)


def test_whoever_asks_nobody_any_more_is_told_of_no_error(tmp_path: Path):
    assert known(tmp_path, "internal") == State()
