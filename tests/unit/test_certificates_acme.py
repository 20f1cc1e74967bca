from pathlib import Path

import pytest
from certificates.acme import (
    UNREAD_CHALLENGES,
    Acme,
    UnreadChallengeError,
    advice,
    clear,
    folder_name,
    what_was_said,
)
from hypothesis import given
from hypothesis import strategies as st

NAME, SERVER = "opencode.example.org", "https://acme.example.org/directory"
ERROR = "urn:ietf:params:acme:error:"
REFUSED = """uacme: challenge https://acme.example.org/chalZ/E failed with status invalid
uacme: the server reported the following error:
{
    "type": "urn:ietf:params:acme:error:connection",
    "detail": "Fetching http://opencode.example.org/x: refused",
    "status": 400
}
uacme: failed to authorize order at https://acme.example.org/my-order/sIT
"""
SUBPROBLEMS = """uacme: the server reported the following error:
{
    "type": "urn:ietf:params:acme:error:malformed",
    "detail": "several",
    "subproblems": [
        {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"},
        {"type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN"}
    ]
}
"""
UNREACHABLE = """uacme: curl_get: GET https://acme.example.org/directory failed: Could not connect
uacme: curl_get: waiting 5 seconds before retrying
uacme: acme_get: curl_get failed
uacme: failed to fetch directory at https://acme.example.org/directory
"""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (REFUSED, f"{ERROR}connection: Fetching http://opencode.example.org/x: refused"),
        (SUBPROBLEMS, f"{ERROR}caa: CAA forbids it; {ERROR}dns: NXDOMAIN"),
        (UNREACHABLE, "GET https://acme.example.org/directory failed: Could not connect"),
        ("uacme: one\nuacme: the last thing\n", "the last thing"),
        ("uacme: the server reported the following error:\n<html>", "<html>"),
        ("", "uacme failed without a word"),
    ],
)
def test_what_the_server_said_is_found_in_what_uacme_prints(output: str, said: str):
    assert what_was_said(output) == said


@given(st.text())
def test_whatever_a_server_says_becomes_one_line_that_can_be_printed(text: str):
    for output in (text, f"x the server reported the following error:{text}"):
        said = what_was_said(output)
        assert said.isprintable()
        assert len(said) < 600


def test_who_has_the_wrong_way_to_this_machine_is_told_so():
    told = advice(what_was_said(REFUSED), NAME, SERVER)
    assert told == f"Port 80 of {NAME} must reach this machine from the internet."


def test_who_cannot_reach_the_server_is_told_so():
    assert SERVER in advice(what_was_said(UNREACHABLE), NAME, SERVER)


def test_where_nothing_helps_nothing_is_advised():
    assert advice("urn:ietf:params:acme:error:rateLimited: too many", NAME, SERVER) == ""


def test_each_server_has_a_folder_of_its_own():
    assert folder_name(SERVER) == "https_acme.example.org_directory"
    assert folder_name(SERVER) != folder_name("https://staging.example.org/directory")
    assert "/" not in folder_name("https://a/../../etc")


def test_challenges_that_were_left_are_cleared(tmp_path: Path):
    (tmp_path / "token").touch()
    (tmp_path / "folder").mkdir()
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def asking(folder: Path, monkeypatch: pytest.MonkeyPatch, unread: int) -> list[tuple[str, ...]]:
    """What uacme is told by one attempt, of which the first so many stop at a challenge."""
    told: list[tuple[str, ...]] = []

    def uacme(self: Acme, *arguments: str) -> None:
        told.append(arguments)
        if len(told) <= unread:
            raise UnreadChallengeError("x")

    monkeypatch.setattr(Acme, "_uacme", uacme)
    Acme(folder, SERVER, "")._issue(NAME)
    return told


def test_a_challenge_that_cannot_be_read_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told = asking(tmp_path, monkeypatch, unread=UNREAD_CHALLENGES)
    assert len(told) == UNREAD_CHALLENGES + 1
    assert {arguments[-2:] for arguments in told} == {("issue", NAME)}


def test_challenges_that_can_never_be_read_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UnreadChallengeError):
        asking(tmp_path, monkeypatch, unread=UNREAD_CHALLENGES + 1)
