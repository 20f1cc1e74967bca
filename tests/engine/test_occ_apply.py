"""What a person gets from settings that occ applies, on a real stack that is theirs alone."""

import signal
import socket
import time
from pathlib import Path

from tests.engine.deployment import free_port
from tests.engine.operator import Operator


def started(operator: Operator) -> str:
    return operator.deployment.container.attrs["State"]["StartedAt"]


def test_start_changes_nothing_where_nothing_is_to_be_changed(operated: Operator):
    before = started(operated)
    assert operated.occ("start").startswith("It runs: http://127.0.0.1:")
    assert started(operated) == before


def test_a_setting_is_applied_by_start(operated: Operator):
    said = operated.occ("config", "set", "memory_mb", "1536")
    assert "To apply it: occ --host" in said
    assert "Applied: " in operated.occ("start")
    limit = operated.deployment.container.attrs["HostConfig"]["Memory"]
    assert limit == 1536 * 1024 * 1024
    assert operated.occ("start").startswith("It runs: ")


def test_a_setting_is_applied_at_once_when_that_is_asked_for(operated: Operator):
    port = free_port()
    said = operated.occ("config", "set", "port", str(port), "--apply")
    assert f"opencode answers at http://127.0.0.1:{port}" in said
    operated.occ("config", "set", "port", str(operated.port), "--apply")
    operated.deployment.wait_healthy()


def test_a_container_that_is_gone_comes_back_with_its_data(operated: Operator):
    operated.deployment.put("/workspace/kept.txt", "kept")
    operated.deployment.container.remove(force=True)
    assert "opencode answers" in operated.occ("start")
    assert operated.occ("shell", "cat", "/workspace/kept.txt") == "kept"
    assert "ada" in operated.occ("user", "list")


def test_the_second_of_two_is_told_who_is_at_it_and_since_when(operated: Operator):
    operated.occ("config", "set", "rate_limit_attempts", "7")
    first = operated.occ.begin("start")
    lock = operated.data / "locks" / f"{operated.stack}.lock"
    deadline = time.monotonic() + 20
    while not (lock.exists() and f"process {first.pid}" in lock.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    said = operated.occ.refused("start")
    assert f"is being changed by occ --host {operated.stack} start (process {first.pid}, " in said
    assert first.wait(120) == 0


def test_interrupted_it_leaves_no_lock_and_says_how_to_go_on(operated: Operator):
    operated.occ("config", "set", "rate_limit_attempts", "8")
    begun = operated.occ.begin("start")
    locks = operated.data / "state" / ".pulumi" / "locks"
    deadline = time.monotonic() + 20
    while not list(locks.rglob(f"opencode/{operated.stack}/*.json")):
        assert time.monotonic() < deadline
        assert begun.poll() is None
        time.sleep(0.05)
    # As early as can be: this is where Pulumi does not listen yet.
    begun.send_signal(signal.SIGINT)
    _, said = begun.communicate(timeout=120)
    assert begun.returncode == 130
    assert b"To go on: the same command again" in said
    assert b"Traceback" not in said
    assert not list(locks.rglob(f"opencode/{operated.stack}/*.json"))
    assert "opencode answers" in operated.occ("start")
    assert "RATE_LIMIT_ATTEMPTS=8" in " ".join(operated.deployment.container.attrs["Config"]["Env"])


def test_a_setting_that_cannot_be_used_is_said_before_anything_changes(operated: Operator):
    before = started(operated)
    text = operated.stack_file.read_text()
    operated.stack_file.write_text(text.replace("memory_mb: ", "memory_mb: 1"[:-1] + "x", 1))
    said = operated.occ.refused("start")
    assert "memory_mb" in said
    assert started(operated) == before
    operated.stack_file.write_text(text)


def test_a_folder_and_a_port_for_one_start_are_gone_with_the_next(
    operated: Operator, tmp_path: Path
):
    shared, port = tmp_path / "shared", free_port()
    shared.mkdir()
    (shared / "here.txt").write_text("from outside")
    mount = f"{shared}:/workspace/shared:ro"
    before = operated.stack_file.read_text()
    said = operated.occ("start", "--mount", mount, "--port", str(port))
    assert f"opencode answers at http://127.0.0.1:{port}" in said
    assert operated.occ("shell", "cat", "/workspace/shared/here.txt") == "from outside"
    assert operated.stack_file.read_text() == before
    assert f"http://127.0.0.1:{operated.port}" in operated.occ("start")
    assert (
        "No such file"
        in operated.occ.attempt("shell", "cat", "/workspace/shared/here.txt").stderr.decode()
    )


def test_a_port_that_is_in_use_is_said_before_anything_changes(operated: Operator):
    before = started(operated)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = operated.occ.refused("start", "--port", str(port))
    assert f"Port {port} is in use by " in said
    assert "config set port" in said
    assert started(operated) == before


def test_an_image_that_is_built_once_more_and_is_the_same_changes_nothing(operated: Operator):
    before = started(operated)
    assert "opencode answers" in operated.occ("start", "--cached-rebuild-sandbox-image")
    assert started(operated) == before


def test_ways_to_an_image_exclude_one_another(operated: Operator):
    done = operated.occ.attempt("start", "--pull-sandbox-image", "--full-rebuild-sandbox-image")
    assert done.returncode == 2
    assert b"either pulled or built" in done.stderr
    said = operated.occ.refused("start", "--pull-sandbox-image")
    assert "The stack builds its image, and pulls none" in said
