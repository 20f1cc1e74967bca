import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session.check import Answer, Connection, read
from session.request import Message, Question

HEAD = b"GET /_gateway/check HTTP/1.1\r\nHost: localhost\r\nX-Gateway-Method: GET\r\n\r\n"


class Echo:
    """Answers with what it was asked, and breaks on request."""

    def __init__(self) -> None:
        self.asked: list[Message] = []

    async def answer(self, question: Message) -> Answer:
        self.asked.append(question)
        await asyncio.sleep(0)
        if question.headers.get("Host") == "broken":
            raise RuntimeError
        return Answer(200, {"X-Gateway-Account": question.headers["Host"]})


@pytest.fixture
def check() -> Echo:
    return Echo()


@pytest.fixture
async def service(check: Echo) -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "check")
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(check),  # type: ignore[arg-type]  (only its answer is asked for)
            str(path),
        )
        yield path
        server.close()


async def answer_of(reader: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()


async def test_questions_on_one_connection_are_answered_one_after_the_other(service: Path):
    reader, writer = await asyncio.open_unix_connection(str(service))
    for name in ("a", "b"):
        writer.write(HEAD.replace(b"localhost", name.encode()))
        assert await answer_of(reader) == (
            f"HTTP/1.1 200 OK\r\nX-Gateway-Account: {name}\r\nContent-Length: 0\r\n\r\n"
        )
    writer.close()


async def test_a_question_in_pieces_is_answered_when_it_is_whole(service: Path, check: Echo):
    reader, writer = await asyncio.open_unix_connection(str(service))
    writer.write(HEAD[:30])
    await asyncio.sleep(0.05)
    assert check.asked == []
    writer.write(HEAD[30:])
    assert (await answer_of(reader)).startswith("HTTP/1.1 200 ")
    writer.close()


async def test_what_goes_wrong_lets_nobody_in_and_is_said(
    service: Path, caplog: pytest.LogCaptureFixture
):
    reader, writer = await asyncio.open_unix_connection(str(service))
    writer.write(HEAD.replace(b"localhost", b"broken"))
    assert (await answer_of(reader)).startswith("HTTP/1.1 500 ")
    assert "a question could not be answered" in caplog.text
    writer.write(HEAD)
    assert (await answer_of(reader)).startswith("HTTP/1.1 200 ")
    writer.close()


async def test_who_leaves_before_the_answer_leaves_nothing_behind(service: Path, check: Echo):
    _, writer = await asyncio.open_unix_connection(str(service))
    writer.write(HEAD)
    writer.close()
    await asyncio.sleep(0.05)
    assert len(check.asked) == 1


async def test_a_head_without_an_end_is_cut_off(service: Path):
    reader, writer = await asyncio.open_unix_connection(str(service))
    writer.write(b"x" * (1 << 18))
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


HEADERS = st.dictionaries(
    st.from_regex(r"[A-Z][A-Za-z-]{0,20}", fullmatch=True),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=50),
    max_size=9,
)


@given(HEADERS)
def test_headers_are_read_as_nginx_writes_them(headers: dict[str, str]):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    assert read(f"GET / HTTP/1.1\r\n{lines}\r\n".encode()) == Question(headers)


@given(st.binary())
def test_no_bytes_break_the_reading_of_a_head(head: bytes):
    assert read(head).headers is not None
