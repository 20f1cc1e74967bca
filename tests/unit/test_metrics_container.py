import json
import os
from pathlib import Path

import pytest
from metrics.container import PAGE, STREAMS, Container

HEAD = "Num       RefCount Protocol Flags    Type St Inode Path\n"
LISTENER = f"0000000000000000: 00000002 00000000 00010000 0001 01 100 {STREAMS}\n"
CONNECTION = f"0000000000000000: 00000003 00000000 00000000 0001 03 101 {STREAMS}\n"
OTHERS = (
    "0000000000000000: 00000003 00000000 00000000 0001 03 102\n"
    "0000000000000000: 00000002 00000000 00010000 0001 01 103 /run/x/session/socket\n"
    "0000000000000000: 00000003 00000000 00000000 0001 03 104 /run/x/session/socket\n"
)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def add_process(root: Path, pid: int, pages: int, owner: int = 0) -> None:
    write(root / f"proc/{pid}/statm", f"9999 {pages} 1 1 0 1 0\n")
    os.chown(root / f"proc/{pid}", owner or os.getuid(), -1)


@pytest.mark.parametrize(
    ("table", "count"),
    [(LISTENER, 0), (CONNECTION + OTHERS + LISTENER + CONNECTION, 2), (OTHERS, None), ("", None)],
)
def test_open_streams_are_counted_by_their_connections(
    tmp_path: Path, table: str, count: int | None
):
    write(tmp_path / "proc/net/unix", HEAD + table)
    assert Container(tmp_path).streams() == count


def test_the_kernels_own_table_can_be_read():
    assert Container().streams() is None


@pytest.mark.parametrize("file", ["memory.current", "memory/memory.usage_in_bytes"])
def test_memory_is_known_under_either_version_of_control_groups(tmp_path: Path, file: str):
    write(tmp_path / "sys/fs/cgroup" / file, "12345\n")
    assert Container(tmp_path).memory() == 12345


def test_memory_is_unknown_without_control_groups(tmp_path: Path):
    assert Container(tmp_path).memory() is None


def test_opencodes_memory_is_that_of_all_that_it_started(tmp_path: Path):
    write(tmp_path / "run/opencode-cloud/opencode.started", "7\n")
    add_process(tmp_path, 7, pages=100)
    add_process(tmp_path, 8, pages=10)
    write(tmp_path / "proc/meminfo", "")
    assert Container(tmp_path).opencode_memory() == 110 * PAGE


def test_a_process_that_ends_meanwhile_has_no_memory(tmp_path: Path):
    write(tmp_path / "run/opencode-cloud/opencode.started", "7\n")
    add_process(tmp_path, 7, pages=100)
    (tmp_path / "proc/8").mkdir()
    assert Container(tmp_path).opencode_memory() == 100 * PAGE


@pytest.mark.parametrize("started", ["", "9\n", "x\n"])
def test_an_opencode_that_does_not_run_has_none(tmp_path: Path, started: str):
    write(tmp_path / "run/opencode-cloud/opencode.started", started)
    add_process(tmp_path, 7, pages=100)
    assert Container(tmp_path).opencode_memory() is None


def test_the_certificates_expiry_is_read_from_its_state(tmp_path: Path):
    state = {"issuer": "acme", "not_after": 1800000000, "name": "x"}
    write(tmp_path / "run/opencode-cloud/certificates/state.json", json.dumps(state))
    assert Container(tmp_path).certificate() == ("acme", 1800000000)


def test_without_tls_there_is_no_certificate(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert Container(tmp_path).certificate() is None
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"issuer": "acme", "not_after": null}'])
def test_a_state_that_cannot_be_read_is_said_once(
    tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]
):
    write(tmp_path / "run/opencode-cloud/certificates/state.json", text)
    container = Container(tmp_path)
    assert container.certificate() is None
    assert container.certificate() is None
    assert len(capfd.readouterr().out.splitlines()) == 1
