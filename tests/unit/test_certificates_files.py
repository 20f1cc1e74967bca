import stat
from pathlib import Path

import pytest
from certificates import files, state
from certificates.state import State


def test_a_file_is_private_unless_it_is_said_otherwise(tmp_path: Path):
    for mode in (0o600, 0o640):
        files.replace(tmp_path / "key", b"secret", mode)
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == mode
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert [left.name for left in tmp_path.iterdir()] == ["key"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path):
    files.replace(tmp_path / "key", b"old")
    (tmp_path / ".key.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.replace(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"old"


def test_what_is_known_outlives_the_container(tmp_path: Path):
    known = State(name="opencode.example.org", last_error="no", failures=(1, 2))
    state.save(known, tmp_path / "a", tmp_path / "b")
    assert state.load(tmp_path / "a") == state.load(tmp_path / "b") == known


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"unknown": 1, "failures": []}', "null"])
def test_a_state_that_cannot_be_read_is_a_new_one(tmp_path: Path, text: str):
    (tmp_path / "state.json").write_text(text)
    assert state.load(tmp_path / "state.json") == State()
    assert state.load(tmp_path / "none") == State()
