import socket
from collections.abc import Iterator

import pytest
from streams.flow import Flow
from streams.loop import READ, WRITE


class Line:
    """A flow between two sockets, with the ends that say and hear."""

    def __init__(self) -> None:
        self.says, source = socket.socketpair()
        sink, self.hears = socket.socketpair()
        self.sockets = [self.says, source, sink, self.hears]
        for each in self.sockets:
            each.setblocking(False)
        self.flow = Flow(source, sink)

    def fill(self) -> int:
        """Say as much as is taken while nobody hears it; gives how many bytes that was."""
        said = 0
        while True:
            try:
                said += self.says.send(b"x" * 65536)
            except BlockingIOError:
                if not self.flow.source_events:
                    return said
                self.flow.read()

    def go_on(self) -> None:
        """Do what the flow waits for."""
        if self.flow.sink_events:
            self.flow.write()
        else:
            self.flow.read()

    def hear(self) -> int:
        """Hear all that is there; gives how many bytes that was."""
        heard = 0
        while True:
            try:
                heard += len(self.hears.recv(65536))
            except BlockingIOError:
                return heard


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    for each in made.sockets:
        each.close()


def test_what_is_said_is_heard_at_once(line: Line):
    line.says.send(b"hello")
    line.flow.read()
    assert line.hears.recv(100) == b"hello"
    assert (line.flow.source_events, line.flow.sink_events) == (READ, 0)


def test_a_slow_reader_slows_its_sender_and_fills_no_memory(line: Line):
    line.fill()
    assert (line.flow.source_events, line.flow.sink_events) == (0, WRITE)
    assert len(line.flow._kept) <= 32 * 1024


def test_a_slow_reader_gets_everything(line: Line):
    said, heard = line.fill(), 0
    while heard < said:
        heard += line.hear()
        line.go_on()
    assert heard == said
    assert line.flow.source_events == READ


def test_an_end_comes_after_what_was_said_before(line: Line):
    said = line.fill()
    line.says.close()
    heard = 0
    while not line.flow.is_done:
        heard += line.hear()
        line.go_on()
    assert heard + line.hear() == said


def test_nothing_more_is_read_for_a_sink_that_takes_nothing(line: Line):
    line.hears.close()
    line.says.send(b"hello")
    line.flow.read()
    assert (line.flow.source_events, line.flow.sink_events) == (0, 0)
    assert not line.flow.is_done


def test_an_early_wakeup_does_no_harm(line: Line):
    line.flow.read()
    assert not line.flow.is_done
    assert not line.flow.has_moved
