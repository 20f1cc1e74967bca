import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics.entry import Entry, parse


def test_a_request_is_read_as_nginx_logs_it():
    line = b"<190>Nov  2 23:07:01 g: api POST 201 1.024 345"
    assert parse(line) == Entry("api", "POST", "2xx", 1024, 345)


def test_whatever_a_client_makes_up_is_other():
    line = b"<190>Nov 22 23:07:01 g: mine BREW 999 0.000 0"
    assert parse(line) == Entry("other", "other", "other", 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"api GET 200 0.001 1",
        b"<190>Nov 22 23:07:01 x: api GET 200 0.001 1",
        b"<190>Nov 22 23:07:01 g: api GET 200 0.001",
        b"<190>Nov 22 23:07:01 g: api GET 200 0.001 1 2",
        b"<190>Nov 22 23:07:01 g: api GET 200 - 1",
        b"<190>Nov 22 23:07:01 g: api GET 200 -0.001 1",
        b"<190>Nov 22 23:07:01 g: api GET 200 1e9 1",
        b"<190>Nov 22 23:07:01 g: api GET 2000 0.001 1",
        b"<190>Nov 22 23:07:01 g: api GET 200 0.001 -1",
        b"<190>Nov 22 23:07:01 g:  GET 200 0.001 1",
        b"<190>Nov 22 23:07:01 g: api GET 200 0.001 " + b"9" * 900,
    ],
)
def test_anything_else_is_no_request(line: bytes):
    assert parse(line) is None


@given(st.binary())
def test_junk_does_no_harm(line: bytes):
    assert parse(line) is None


WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(kind=WORD, method=WORD, status=st.integers(0, 999))
def test_labels_never_hold_what_a_client_sends(kind: str, method: str, status: int):
    entry = parse(f"<190>Nov 22 23:07:01 g: {kind} {method} {status:03} 0.001 1".encode())
    assert entry
    assert entry.kind in ("page", "api", "asset", "stream", "gateway", "other")
    assert entry.method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"]
    assert entry.code in ("1xx", "2xx", "3xx", "4xx", "5xx", "other")
