"""The command plugin over SSH, against a real server, held to what its SDK documents."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.command_program import Program
from tests.engine.ssh_server import SshServer, background, make_key, ssh_server
from tests.engine.stack import PulumiFailedError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def test_a_remote_command_runs_when_its_resource_is_made_changed_and_deleted(
    program: Program, server: SshServer, diary: Path
):
    inputs: dict[str, Any] = {
        "connection": server.connection,
        "create": f'(cat; echo " $GREETING, from $SSH_CONNECTION") | tee -a {diary}',
        "delete": f'echo "deleted after $PULUMI_COMMAND_STDOUT" >> {diary}',
        "stdin": {"$secret": "sesame"},
        "logging": "none",
    }
    printed = program.up("remote.Command", **inputs, environment={"GREETING": "hello"})
    assert "sesame hello, from 127.0.0.1" in diary.read_text()
    assert "sesame" not in printed
    assert "BEGIN OPENSSH" not in program.state()
    assert "2 unchanged" in program.up(
        "remote.Command", **inputs, environment={"GREETING": "hello"}
    )
    program.up("remote.Command", **inputs, environment={"GREETING": "bye"})
    output = program.resource()["outputs"]["stdout"]
    assert output.startswith("sesame bye")
    program.stack.destroy()
    assert diary.read_text().endswith(f"deleted after {output}\n")


def test_a_server_with_another_host_key_is_refused(
    program: Program, server: SshServer, diary: Path, tmp_path: Path
):
    make_key(tmp_path / "other")
    wrong = server.connection | {"host_key": (tmp_path / "other.pub").read_text()}
    with pytest.raises(PulumiFailedError, match="host key mismatch"):
        program.up("remote.Command", connection=wrong, create=f"touch {diary}")
    assert not diary.exists()


def test_any_server_is_believed_when_no_host_key_is_given_as_the_sdk_documents(
    program: Program, server: SshServer
):
    anyone = server.connection
    del anyone["host_key"]
    program.up("remote.Command", connection=anyone, create="echo in")
    assert program.resource()["outputs"]["stdout"] == "in"


def test_a_variable_that_the_server_refuses_is_an_error_that_says_so(
    program: Program, server: SshServer
):
    with pytest.raises(PulumiFailedError, match="does not accept the variable OTHER"):
        program.up(
            "remote.Command",
            connection=server.connection,
            environment={"OTHER": "x"},
            create="true",
        )


def test_a_key_with_a_passphrase_an_agent_and_a_proxy_lead_in(
    program: Program, server: SshServer, tmp_path: Path
):
    locked = (server.folder / "locked").read_text()
    passphrase = {"private_key": locked, "private_key_password": "open sesame"}
    agent_socket = tmp_path / "agent"
    by_agent = {name: value for name, value in server.connection.items() if name != "private_key"}
    by_proxy = server.connection | {"proxy": server.connection}
    with background(["ssh-agent", "-D", "-a", str(agent_socket)]):
        while not agent_socket.exists():
            time.sleep(0.01)
        environment = os.environ | {"SSH_AUTH_SOCK": str(agent_socket)}
        subprocess.run(["ssh-add", "-q", server.folder / "client"], env=environment, check=True)
        for number, connection in enumerate(
            (
                server.connection | passphrase,
                by_agent | {"agent_socket_path": str(agent_socket)},
                by_proxy,
            )
        ):
            program.up("remote.Command", connection=connection, create=f"echo {number}")
            assert program.resource()["outputs"]["stdout"] == str(number)


@pytest.mark.parametrize("limit", [0, 2])
def test_a_server_that_does_not_answer_is_tried_as_often_as_asked(program: Program, limit: int):
    calls = 0
    with socket.create_server(("127.0.0.1", 0)) as mute:

        def hang_up() -> None:
            nonlocal calls
            while True:
                try:
                    mute.accept()[0].close()
                except OSError:
                    return
                calls += 1

        thread = threading.Thread(target=hang_up)
        thread.start()
        connection = {
            "host": "127.0.0.1",
            "port": mute.getsockname()[1],
            "password": "x",
            "dial_error_limit": limit,
        }
        try:
            with pytest.raises(PulumiFailedError, match=f"after {limit} failed attempts"):
                program.up("remote.Command", connection=connection, create="true")
        finally:
            mute.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert calls == limit + 1


def test_a_file_is_copied_into_folders_that_are_made_and_again_when_it_changes(
    program: Program, server: SshServer, tmp_path: Path
):
    source, target = tmp_path / "source", tmp_path / "new" / "folder" / "target"
    source.write_text("one")
    inputs = {
        "connection": server.connection,
        "source": {"$file": str(source)},
        "remote_path": str(target),
    }
    program.up("remote.CopyToRemote", **inputs)
    assert target.read_text() == "one"
    target.unlink()
    assert "2 unchanged" in program.up("remote.CopyToRemote", **inputs)
    assert not target.exists()
    source.write_text("two")
    assert "1 updated" in program.up("remote.CopyToRemote", **inputs)
    program.stack.destroy()
    assert target.read_text() == "two"


def test_folders_and_texts_are_copied_to_where_the_sdk_says(
    program: Program, server: SshServer, tmp_path: Path
):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("content")
    for given, remote_path in (
        ({"$folder": str(source)}, target),
        ({"$folder": f"{source}/"}, target / "contents"),
        ({"$text": "a text"}, target / "text"),
        ({"$file": str(source / "deep" / "file")}, target),
    ):
        program.up(
            "remote.CopyToRemote",
            connection=server.connection,
            source=given,
            remote_path=str(remote_path),
        )
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {"source/deep/file", "contents/deep/file", "text", "file"}
    assert (target / "text").read_text() == "a text"
    with pytest.raises(PulumiFailedError, match="is a folder"):
        program.up(
            "remote.CopyToRemote",
            connection=server.connection,
            source={"$text": "a text"},
            remote_path=str(target),
        )


def test_an_archive_that_is_no_folder_is_refused_before_anything_is_done(
    program: Program, server: SshServer
):
    with pytest.raises(PulumiFailedError, match="must be a FileAsset"):
        program.up(
            "remote.CopyToRemote",
            connection=server.connection,
            source={"$assets": {"name": "text"}},
            remote_path="/nowhere",
        )
