import os
import socket
from pathlib import Path

import pytest

from opencode_cloud.start import ports, preflight, stack_file
from opencode_cloud.start.errors import UsageError
from tests.unit.start_parts import ROOT, RecordingRunner, context, ok


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_taken_and_its_owner_is_named(taken: int):
    assert not ports.is_free("127.0.0.1", taken)
    own = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert ports.owner(taken) == f"{own} (process {os.getpid()})"
    free = ports.next_free("127.0.0.1", taken)
    assert free
    assert free > taken
    assert ports.is_free("127.0.0.1", free)


def test_dockers_proxy_is_named_to_those_who_may_not_see_its_sockets(tmp_path: Path):
    others = tmp_path / "7"
    others.mkdir()
    words = ["/usr/bin/docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1"]
    (others / "cmdline").write_text("\0".join([*words, "-host-port", "4096", "-container-ip", ""]))
    assert ports.owner(4096, tmp_path) == "docker-proxy (process 7)"
    assert ports.owner(409, tmp_path) == ""


def test_a_port_that_a_server_has_just_left_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            # Closing first, the server's side keeps the connection for a while.
            accepted.close()
            client.recv(1)
    assert ports.is_free("127.0.0.1", port)
    assert ports.owner(port) == ""


def test_a_port_in_use_is_refused_with_a_free_one_before_anything_is_done(
    taken: int, tmp_path: Path
):
    asked = context(tmp_path, port=taken)
    with pytest.raises(UsageError) as caught:
        preflight.check_port(asked)
    assert f"Port {taken} is in use by " in str(caught.value)
    assert "The next free one: ./start --port " in str(caught.value)
    assert f"(process {os.getpid()})" in str(caught.value)


def test_the_port_that_the_stack_says_is_looked_at_too(taken: int, tmp_path: Path):
    asked = context(tmp_path)
    asked.paths.stack_file("local").write_text(f'config:\n  opencode:port: "{taken}"\n')
    with pytest.raises(UsageError, match=f"Port {taken}"):
        preflight.check_port(asked)


def test_a_container_in_the_way_is_named(taken: int, tmp_path: Path):
    answers = {("docker", "ps"): ok("someone-elses")}
    with pytest.raises(UsageError, match="the container someone-elses"):
        preflight.check_port(context(tmp_path, RecordingRunner(answers=answers), port=taken))


def test_our_own_container_is_not_in_its_own_way(taken: int, tmp_path: Path):
    answers = {("docker", "ps"): ok("opencode-local")}
    preflight.check_port(context(tmp_path, RecordingRunner(answers=answers), port=taken))


def test_a_stack_that_names_no_port_has_the_default_one():
    assert stack_file.default_port(ROOT) == 4096
