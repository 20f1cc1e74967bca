import io
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from opencode_cloud.start.process import CommandError, Runner
from tests.unit.start_parts import LINUX


def runner(**fields) -> Runner:
    return Runner(dict(os.environ), LINUX, **fields)


def interrupt_in(seconds: float) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


def is_gone(pid: int) -> bool:
    """Whether the process ends within a moment; a zombie is no process any more."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(50):
        if not status.exists() or status.read_text().split()[2] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_every_line_is_shown_as_it_comes_and_the_last_ones_are_given_back():
    seen: list[str] = []
    tail = runner().run("sh", "-c", "seq 20; printf 'no newline'", limit=10, on_line=seen.append)
    assert seen == [*map(str, range(1, 21)), "no newline"]
    assert tail == seen[-15:]


def test_progress_that_rewrites_its_line_is_read_as_lines():
    seen: list[str] = []
    runner().run("printf", r"10%%\r20%%\r30%%\n", limit=10, on_line=seen.append)
    assert seen == ["10%", "20%", "30%"]


def test_a_failure_names_the_command_its_status_and_its_last_words():
    with pytest.raises(CommandError) as caught:
        runner().run("sh", "-c", "echo one; echo why >&2; exit 3", limit=10)
    assert str(caught.value) == "sh failed (status 3):\n    one\n    why"


def test_a_missing_command_is_named():
    with pytest.raises(CommandError, match="no-such-command: not found"):
        runner().run("no-such-command", limit=10)
    assert runner().ask("no-such-command").code == 127


def test_a_command_that_takes_too_long_is_ended_with_its_children():
    seen: list[str] = []
    started = time.monotonic()
    with pytest.raises(CommandError, match="did not end within 1 s"):
        runner().run("sh", "-c", "sleep 60 & echo $!; wait", limit=1, on_line=seen.append)
    assert time.monotonic() - started < 5
    assert is_gone(int(seen[0]))


def test_what_left_the_commands_group_is_ended_with_it_too():
    seen: list[str] = []
    leaves = (
        "import subprocess as s; print(s.Popen(['sleep', '60'], process_group=0).pid, flush=True)"
    )
    ignores = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    with pytest.raises(CommandError):
        runner().run(
            "python3", "-c", f"{leaves}; {ignores}", limit=1, grace=0.2, on_line=seen.append
        )
    assert is_gone(int(seen[0]))


def test_a_source_that_says_nothing_is_given_up_before_the_limit():
    with pytest.raises(CommandError, match="got no answer in 1 s"):
        runner().run("sleep", "60", limit=60, first_line_within=1)
    runner().run("sh", "-c", "echo it begins; sleep 1.5", limit=60, first_line_within=1)


def test_a_question_that_is_not_answered_counts_as_not_answered():
    assert not runner().ask("sleep", "60", limit=0.2).ok


def test_a_daemon_that_keeps_the_output_open_is_not_waited_for():
    started = time.monotonic()
    tail = runner().run("sh", "-c", "sleep 20 & echo started $!", limit=30)
    assert time.monotonic() - started < 5
    os.kill(int(tail[0].split()[1]), signal.SIGKILL)


def test_an_interruption_ends_the_command_and_all_that_it_started():
    seen: list[str] = []
    interrupt_in(0.5)
    with pytest.raises(KeyboardInterrupt):
        runner().run("sh", "-c", "sleep 60 & echo $!; wait", limit=60, on_line=seen.append)
    assert is_gone(int(seen[0]))


def test_an_interrupted_command_may_tidy_up(tmp_path: Path):
    tidy = f"trap 'sleep 0.5; touch {tmp_path}/tidied; exit' INT; sleep 60 & wait"
    interrupt_in(0.5)
    with pytest.raises(KeyboardInterrupt):
        runner().run("sh", "-c", tidy, limit=60)
    assert (tmp_path / "tidied").exists()


def test_a_command_that_ignores_the_interruption_is_killed():
    interrupt_in(0.5)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        runner().run("sh", "-c", "trap '' INT; sleep 60; sleep 60", limit=60, grace=0.5)
    assert time.monotonic() - started < 5


def test_an_installation_is_never_cut_off(tmp_path: Path):
    interrupt_in(0.3)
    shown: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        runner(tell=shown.append).run(
            "sh", "-c", f"sleep 1; touch {tmp_path}/installed", limit=60, finish=True
        )
    assert (tmp_path / "installed").exists()
    assert shown == ["Stopping when this is finished, so that nothing is left half-installed."]


def test_what_is_written_to_a_command_is_in_no_log_and_on_no_command_line():
    log = io.StringIO()
    secret = "correct horse"
    shown: list[str] = []
    runner(log=log, show=shown.append).run(
        "sh",
        "-c",
        "read -r password; tr '\\0' ' ' </proc/$PPID/cmdline </proc/$$/cmdline; "
        'echo; echo "got ${#password}"',
        limit=10,
        stdin=f"{secret}\n",
    )
    assert shown[-1] == f"got {len(secret)}"
    assert secret not in log.getvalue() + "".join(shown)


def test_a_command_that_reads_nothing_may_end_first():
    runner().run("true", limit=10, stdin="x" * 1_000_000)


def test_the_log_has_every_command_its_output_and_its_status():
    log = io.StringIO()
    runner(log=log).run("sh", "-c", "echo done", limit=10)
    lines = log.getvalue().splitlines()
    assert lines[:2] == ["$ sh -c echo done", "done"]
    assert lines[2].startswith("= 0 after ")
