import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams.head import UngrantedError, split_grant

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~:-"
LINES = st.lists(st.from_regex(rb"[A-Za-z-]{1,12}: [ -~\x80-\xff]*", fullmatch=True), max_size=5)


@given(before=LINES, after=LINES, grant=st.text(LETTERS, min_size=1, max_size=256))
def test_a_head_loses_its_grant_and_nothing_else(
    before: list[bytes], after: list[bytes], grant: str
):
    line = f"X-Gateway-Grant: {grant}".encode()
    head = b"\r\n".join([b"GET /event HTTP/1.1", *before, line, *after])
    rest = b"\r\n".join([b"GET /event HTTP/1.1", *before, *after])
    assert split_grant(head) == (grant.encode(), rest)


@pytest.mark.parametrize("name", [b"X-Gateway-Grant", b"x-gateway-grant", b"X-GATEWAY-GRANT"])
def test_a_grant_is_known_by_its_name_however_it_is_spelt(name: bytes):
    assert split_grant(b"GET / HTTP/1.1\r\n" + name + b":g.1 ") == (b"g.1", b"GET / HTTP/1.1")


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\r\nX-Gateway-Grants: g",
        b"\r\nX-Gateway-Grant:",
        b"\r\nX-Gateway-Grant: g\r\nx-gateway-grant: h",
        b"\r\nX-Gateway-Grant: a b",
        b"\r\nX-Gateway-Grant: a\nb",
        b"\r\nX-Gateway-Grant: \xc3\xa4",
        b"\r\nX-Gateway-Grant: " + b"g" * 257,
        b"\r\nX: X-Gateway-Grant: g",
    ],
)
def test_a_request_without_one_good_grant_is_no_request(lines: bytes):
    with pytest.raises(UngrantedError):
        split_grant(b"GET / HTTP/1.1" + lines)


def test_the_path_is_no_place_for_a_grant():
    with pytest.raises(UngrantedError):
        split_grant(b"X-Gateway-Grant: g")
