import io
from datetime import UTC, datetime, timedelta

import pytest

from opencode_cloud.ops import logs
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.logs import Line, Wanted

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def frame(text: str, stream: int = 1) -> bytes:
    data = text.encode()
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def split(*frames: bytes) -> list[Line]:
    return list(logs.split(io.BytesIO(b"".join(frames))))


def test_a_line_knows_its_process():
    assert Line("t", "session      | ada signed in").process == "session"
    assert Line("t", "certificates | serving").process == "certificates"
    assert Line("t", "something else").process == ""


def test_a_long_line_that_comes_in_pieces_is_one():
    lines = split(
        frame("t1 opencode     | a"),
        frame("t2 init         | between\n", 2),
        frame("t1 b\n"),
        frame("t3 \n"),
        frame("t4 no end"),
    )
    assert [(line.moment, line.text) for line in lines] == [
        ("t2", "init         | between"),
        ("t1", "opencode     | ab"),
        ("t3", ""),
        ("t4", "no end"),
    ]


def test_what_is_no_text_is_shown_all_the_same():
    assert split(frame("t x")[:-1] + b"\xff")[0].text == "\ufffd"


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("2026-01-31T11:00+00:00", timedelta(hours=1)),
        ("2026-01-31T13:00+02:00", timedelta(hours=1)),
    ],
)
def test_since_is_how_long_ago_or_a_time(text: str, ago: timedelta):
    assert logs.since(text, NOW) == NOW - ago


def test_since_the_beginning_of_time_is_everything():
    assert logs.since("99999999999w", NOW).year == 1970


@pytest.mark.parametrize("text", ["yesterday", "10", "m", "-5m", "1.5h", "31.1.2026"])
def test_since_something_else_is_refused_with_examples(text: str):
    with pytest.raises(ValueError, match="such as 10m, 1h30m or 2d, nor a time such as 2026"):
        logs.since(text, NOW)


def test_an_unknown_process_is_refused_with_the_one_that_is_meant():
    logs.check_process("session")
    with pytest.raises(OperationError, match=r"Did you mean opencode.*There are"):
        logs.check_process("opencod")


def test_lines_are_chosen_by_process_and_by_words():
    line = Line("t", "session      | refused ada")
    assert Wanted().takes(line)
    assert Wanted(process="session").takes(line)
    assert not Wanted(process="gateway").takes(line)


def test_the_lines_that_matter_are_those_that_tell_of_failure():
    lines = ["init | one", "gateway | [emerg] no such file", "init | three"]
    assert logs.that_matter(lines) == lines[1:2]
    assert logs.that_matter(["a", "b", "c"], 2) == ["b", "c"]
    assert logs.that_matter([]) == []
