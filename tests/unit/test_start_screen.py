import io
import re

import pytest

from opencode_cloud.start import screen
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.plan import Outcome, Report, execute
from opencode_cloud.start.screen import Screen, clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Step:
    """A step that is told what to do."""

    def __init__(self, title: str, found: str = "", error: BaseException | None = None) -> None:
        self.title, self.found, self.error = title, found, error
        self.ran = False

    def is_done(self) -> str:
        return self.found

    def obstacle(self) -> str:
        return ""

    def plan(self) -> list[str]:
        return []

    def run(self, report: Report) -> Outcome:
        self.ran = True
        if self.error:
            raise self.error
        report.progress("working")
        report.note("something to know")
        return Outcome("made it")


def shown(*steps: Step, out: io.StringIO | None = None, color: bool = True) -> str:
    out = out or io.StringIO()
    execute(steps, Screen(out, color))
    return out.getvalue()


def test_elsewhere_than_on_a_terminal_there_is_a_plain_line_for_each_step():
    assert shown(Step("First", "was here"), Step("Second")).splitlines() == [
        "[1/2]   First                already there  was here",
        "[2/2]   Second               something to know",
        "[2/2]   Second               done  made it",
    ]


def test_what_is_there_already_is_not_done_again():
    step = Step("First", "was here")
    shown(step)
    assert not step.ran


def test_progress_elsewhere_is_printed_now_and_then(monkeypatch: pytest.MonkeyPatch):
    out = io.StringIO()
    plain = Screen(out)
    plain.begin(1, 1, "Long")
    for number in range(1000):
        plain.progress(f"part {number}")
    assert out.getvalue() == ""
    monkeypatch.setattr(screen, "PLAIN_EVERY_SECONDS", 0)
    plain.progress("part 1000")
    assert out.getvalue() == "[1/1]   Long                 part 1000  00:00\n"


def test_on_a_terminal_a_line_is_rewritten_and_never_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    live = Screen(out)
    live.begin(1, 1, "Long")
    live.progress("x" * 200)
    lines = out.getvalue().split("\r\x1b[K")
    assert "\n" not in out.getvalue()
    assert max(len(line) for line in lines) == 39
    assert lines[-1].endswith("  00:00")


def test_colours_are_for_terminals_that_want_them():
    assert "\x1b[32mdone" in shown(Step("A"), out=Terminal())
    assert not re.search(r"\x1b\[\d*m", shown(Step("A"), out=Terminal(), color=False))
    assert "\x1b" not in shown(Step("A"))


@pytest.mark.parametrize(
    ("error", "word"), [(StartError("why"), "failed"), (KeyboardInterrupt(), "stopped")]
)
def test_the_step_that_did_not_end_is_named(error: BaseException, word: str):
    out = io.StringIO()
    after = Step("After")
    with pytest.raises(type(error)):
        shown(Step("Broken", error=error), after, out=out)
    assert out.getvalue() == f"[1/2]   Broken               {word}\n"
    assert not after.ran


def test_durations_are_minutes_and_seconds():
    assert [clock(seconds) for seconds in (0.9, 61, 3600)] == ["00:00", "01:01", "60:00"]
