import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import audit
from session.audit import Audit, Client

from tests.unit.session_parts import CLIENT, audited


def test_a_line_says_who_and_where_and_when():
    written = audit.line(
        "sign_in", Client("192.0.2.1", "curl/8"), 0.0625, user="ada", method="form", session="5e55"
    )
    assert json.loads(written) == {
        "time": "1970-01-01T00:00:00.062Z",
        "event": "sign_in",
        "user": "ada",
        "address": "192.0.2.1",
        "method": "form",
        "session": "5e55",
        "agent": "curl/8",
    }


@given(st.text(), st.text())
def test_nothing_that_is_sent_begins_a_line_of_its_own(agent: str, address: str):
    written = audit.line("sign_in", Client(address, agent), 0, user=None)
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["agent"] == agent[: audit.LONGEST_AGENT]


def test_a_long_agent_is_cut():
    written = audit.line("sign_in", Client("", "x" * 5000), 0, user=None)
    assert len(json.loads(written)["agent"]) == audit.LONGEST_AGENT


def limited(journal: Audit, now: float, client: Client = CLIENT) -> None:
    journal.note_limited(client, now, user="ada", method="basic")


def test_a_limited_address_is_worth_a_line_a_window(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    journal = Audit(window=60)
    for now in (0, 1, 2, 59, 60, 61, 200):
        limited(journal, now)
    assert [line["count"] for line in audited(caplog)] == [1, 4, 2]
    assert journal.counts["sign_in_limited", "basic"] == 7


def test_addresses_are_counted_apart_and_forgotten_at_last(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level("INFO")
    monkeypatch.setattr(audit, "FLOODS", 2)
    journal = Audit(window=60)
    for number in (1, 2, 1, 3, 1):
        limited(journal, 0, Client(f"192.0.2.{number}", ""))
    assert [line["address"] for line in audited(caplog)] == [f"192.0.2.{n}" for n in (1, 2, 3)]
    limited(journal, 0, Client("192.0.2.2", ""))
    assert len(audited(caplog)) == 4
