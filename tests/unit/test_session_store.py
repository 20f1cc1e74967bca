import hashlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session.store import ABSOLUTE_SECONDS, IDLE_SECONDS, Session, Store

START = 1_000_000.0


@pytest.fixture
def store() -> Store:
    return Store(":memory:")


def test_a_session_is_found_by_its_token_alone(store: Store):
    token = store.create("ada", "f1", START)
    other = store.create("eve", "f2", START)
    assert store.find(token, START) == Session("ada", "f1")
    assert store.find(other, START) == Session("eve", "f2")
    assert store.find(token[:-1], START) is None
    assert store.find("", START) is None


def test_tokens_are_long_and_never_the_same(store: Store):
    tokens = {store.create("ada", "f", START) for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 for token in tokens)


def test_a_signed_out_session_is_gone_and_others_stay(store: Store):
    token, other = store.create("ada", "f", START), store.create("ada", "f", START)
    store.end(token)
    assert store.find(token, START) is None
    assert store.find(other, START) is not None


def test_a_session_that_nobody_uses_ends(store: Store):
    token = store.create("ada", "f", START)
    assert store.find(token, START + IDLE_SECONDS - 1) is not None
    token = store.create("ada", "f", START)
    assert store.find(token, START + IDLE_SECONDS) is None


def test_a_session_ends_at_last_however_much_it_is_used(store: Store):
    token = store.create("ada", "f", START)
    now = START
    while now < START + ABSOLUTE_SECONDS:
        assert store.find(token, now) is not None
        now += IDLE_SECONDS / 2
    assert store.find(token, START + ABSOLUTE_SECONDS) is None


@given(st.lists(st.floats(min_value=1, max_value=IDLE_SECONDS - 120), max_size=20))
def test_a_session_lives_as_long_as_its_pauses_are_short(pauses: list[float]):
    store = Store(":memory:")
    token = store.create("ada", "f", START)
    now = START
    for pause in pauses:
        now += pause
        assert (store.find(token, now) is not None) == (now < START + ABSOLUTE_SECONDS)


def test_sessions_and_keys_outlive_the_service(tmp_path: Path):
    path = tmp_path / "sessions.db"
    store = Store(path)
    token, key = store.create("ada", "f", START), store.key("form", 32)
    store.close()
    again = Store(path)
    assert again.find(token, START) == Session("ada", "f")
    assert again.key("form", 32) == key
    assert again.key("deployment", 4) != key[:4]


def test_the_file_holds_no_token(tmp_path: Path):
    path = tmp_path / "sessions.db"
    store = Store(path)
    token = store.create("ada", "f", START)
    store.close()
    assert token.encode() not in path.read_bytes()
    stored = sqlite3.connect(path).execute("SELECT token_hash FROM sessions").fetchone()[0]
    assert stored == hashlib.sha256(token.encode()).digest()


def test_sessions_that_have_ended_are_forgotten(tmp_path: Path):
    path = tmp_path / "sessions.db"
    store = Store(path)
    store.create("ada", "f", START)
    store.create("ada", "f", START + IDLE_SECONDS)
    store.close()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM sessions").fetchone()[0] == 1
