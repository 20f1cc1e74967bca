import hashlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import store as store_module
from session.store import ABSOLUTE_SECONDS, IDLE_SECONDS, TOUCH_SECONDS, Store

START = 1_000_000.0
HERE, THERE = "192.0.2.1", "203.0.113.9"


def begin(store: Store, user: str = "ada", now: float = START) -> str:
    return store.create(user, "f", HERE, "curl/8", now)[0]


def find(store: Store, token: str, now: float = START):
    return store.find(token, HERE, now)


@pytest.fixture
def store() -> Store:
    return Store(":memory:")


def test_a_session_is_found_by_its_token_alone(store: Store):
    token, session = store.create("ada", "f1", HERE, "curl/8", START)
    other, others = store.create("eve", "f2", THERE, "wget/1", START)
    assert find(store, token) == session
    assert find(store, other) == others
    assert (session.user, session.fingerprint, session.agent) == ("ada", "f1", "curl/8")
    assert find(store, token[:-1]) is None
    assert find(store, "") is None
    assert find(store, session.id) is None


def test_tokens_are_long_and_never_the_same(store: Store):
    tokens = {begin(store) for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 for token in tokens)


def test_a_signed_out_session_is_gone_and_others_stay(store: Store):
    token, session = store.create("ada", "f", HERE, "", START)
    other = begin(store)
    assert store.end("ada", session.id)
    assert find(store, token) is None
    assert find(store, other)
    assert not store.end("ada", session.id)


def test_a_session_that_nobody_uses_ends(store: Store):
    token = begin(store)
    assert find(store, token, START + IDLE_SECONDS - 1) is not None
    token = begin(store)
    assert find(store, token, START + IDLE_SECONDS) is None


def test_a_session_ends_at_last_however_much_it_is_used(store: Store):
    token = begin(store)
    now = START
    while now < START + ABSOLUTE_SECONDS:
        assert find(store, token, now) is not None
        now += IDLE_SECONDS / 2
    assert find(store, token, START + ABSOLUTE_SECONDS) is None


@given(st.lists(st.floats(min_value=1, max_value=IDLE_SECONDS - 120), max_size=20))
def test_a_session_lives_as_long_as_its_pauses_are_short(pauses: list[float]):
    store = Store(":memory:")
    token = begin(store)
    now = START
    for pause in pauses:
        now += pause
        assert (find(store, token, now) is not None) == (now < START + ABSOLUTE_SECONDS)


def test_sessions_and_keys_outlive_the_service(tmp_path: Path):
    path = tmp_path / "sessions.db"
    store = Store(path)
    (token, session), key = store.create("ada", "f", HERE, "", START), store.key("form", 32)
    store.end_all("eve")
    store.close()
    again = Store(path)
    assert find(again, token) == session
    assert again.epoch("eve") == 1
    assert again.key("form", 32) == key
    assert again.key("deployment", 4) != key[:4]


def test_the_file_holds_no_token(tmp_path: Path):
    path = tmp_path / "sessions.db"
    store = Store(path)
    token = begin(store)
    store.close()
    assert token.encode() not in path.read_bytes()
    stored = sqlite3.connect(path).execute("SELECT token_hash FROM sessions").fetchone()[0]
    assert stored == hashlib.sha256(token.encode()).digest()


def test_sessions_that_have_ended_are_forgotten(tmp_path: Path):
    path = tmp_path / "sessions.db"
    store = Store(path)
    begin(store)
    begin(store, now=START + IDLE_SECONDS)
    store.close()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM sessions").fetchone()[0] == 1


def test_a_session_says_where_and_when_it_was_used_last(store: Store):
    token, session = store.create("ada", "f", HERE, "", START)
    store.find(token, THERE, START + TOUCH_SECONDS - 1)
    assert store.get(session.id, START) == session
    store.find(token, THERE, START + TOUCH_SECONDS)
    touched = store.get(session.id, START + TOUCH_SECONDS)
    assert touched
    assert (touched.address, touched.used) == (THERE, START + TOUCH_SECONDS)


def test_looking_at_a_session_does_not_use_it(store: Store):
    _, session = store.create("ada", "f", HERE, "", START)
    assert store.get(session.id, START + IDLE_SECONDS - 1) == session
    assert store.get(session.id, START + IDLE_SECONDS) is None
    assert store.get("", START) is None


def test_a_user_has_sessions_of_ones_own_alone(store: Store):
    token, session = store.create("ada", "f", HERE, "", START)
    _, newer = store.create("ada", "f", THERE, "", START + 1)
    _, others = store.create("eve", "f", HERE, "", START)
    assert store.of_user("ada", START + 1) == [newer, session]
    find(store, token, START + TOUCH_SECONDS)
    assert [found.id for found in store.of_user("ada", START + 60)] == [session.id, newer.id]
    assert store.of_user("ada", START + 60 + IDLE_SECONDS) == []
    assert not store.end("ada", others.id)
    assert store.get(others.id, START) == others


def test_all_sessions_of_a_user_end_together(store: Store):
    mine, other = [begin(store), begin(store)], begin(store, "eve")
    store.end_all("ada")
    assert [find(store, token) for token in mine] == [None, None]
    assert find(store, other)
    assert (store.epoch("ada"), store.epoch("eve")) == (1, 0)
    store.end_all("ada")
    assert store.epoch("ada") == 2


def test_sessions_are_counted_while_they_last(store: Store):
    begin(store)
    begin(store, "eve", START + 1)
    assert store.count(START) == 2
    assert store.count(START + IDLE_SECONDS) == 1


OLD = """
CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    user TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE keys (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
"""The file of an image that knew no more of a session."""


def test_a_new_image_signs_nobody_out(tmp_path: Path):
    path = tmp_path / "sessions.db"
    tokens = ["one", "two"]
    with sqlite3.connect(path) as old:
        old.executescript(OLD)
        old.execute("INSERT INTO keys VALUES ('form', 'key')")
        for token in tokens:
            digest = hashlib.sha256(token.encode()).digest()
            old.execute("INSERT INTO sessions VALUES (?, 'ada', 'f', 1, 1)", (digest,))
    old.close()
    Store(path).close()
    store = Store(path)
    assert store.key("form", 32) == "key"
    sessions = [find(store, token, 2) for token in tokens]
    assert [session.user for session in sessions if session] == ["ada", "ada"]
    assert len({session.id for session in sessions if session}) == 2
    begin(store, now=2)
    assert len(store.of_user("ada", 2)) == 3


def test_a_migration_that_was_cut_off_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    with sqlite3.connect(before / "sessions.db") as old:
        old.executescript(OLD)
    old.close()
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_STEPS", ("", f"{store_module._STEPS[1]} CUT OFF;"))
        with pytest.raises(sqlite3.OperationalError):
            Store(before / "sessions.db")
    # As a crash leaves it.
    shutil.copytree(before, after)
    store = Store(after / "sessions.db")
    assert find(store, begin(store))


def test_the_file_of_a_newer_image_can_still_be_used(tmp_path: Path):
    path = tmp_path / "sessions.db"
    Store(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute("ALTER TABLE sessions ADD COLUMN mood TEXT")
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    store = Store(path)
    assert find(store, begin(store))
