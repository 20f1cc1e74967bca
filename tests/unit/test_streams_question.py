import pytest
from streams.answer import UnansweredError, body
from streams.question import request


def test_each_grant_is_a_line_of_the_question():
    head, _, lines = request([b"a", b"b"]).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /grants HTTP/1.0\r\n")
    assert b"Content-Length: 4" in head
    assert lines == b"a\nb\n"


@pytest.mark.parametrize("content", [b"", b"a\n", b"a\r\n\r\nb"])
def test_a_whole_answer_is_taken_as_it_is(content: bytes):
    head = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: %d\r\n\r\n" % len(content)
    assert body(head + content) == content


@pytest.mark.parametrize(
    ("received", "said"),
    [
        (b"", "no whole answer"),
        (b"HTTP/1.1", "no whole answer"),
        (b"HTTP/1.1 200 OK", "no whole answer"),
        (b"HTTP/1.1 200 OK\r\n\r\na\n", "no whole answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\na\n", "no whole answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\n", "no whole answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", "no whole answer"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "answered 500"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\na\n", "answered 404"),
    ],
)
def test_anything_but_a_whole_answer_is_none(received: bytes, said: str):
    with pytest.raises(UnansweredError, match=said):
        body(received)
