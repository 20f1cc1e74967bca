"""Several stacks by one command: which are meant, what is run, and what is shown of it."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from opencode_cloud.cli import fleet as commands
from opencode_cloud.cli import live_line, main, targets
from opencode_cloud.cli.app import app
from opencode_cloud.cli.fleet_view import View
from opencode_cloud.cli.options import Options
from opencode_cloud.ops import fleet, member
from opencode_cloud.spec.fleet import (
    MEMBER,
    NOT_BEGUN,
    PROGRESS,
    Choice,
    Ended,
    FleetError,
    chosen,
    complaint,
    counted,
    summary,
)
from tests.unit.cli_parts import occ

ROOT: Any = typer.main.get_command(app)
KNOWN = {"alpha": ("web", "eu"), "beta": ("web",), "local": ()}


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (Choice(every=True), ["alpha", "beta", "local"]),
        (Choice(groups=("web",)), ["alpha", "beta"]),
        (Choice(groups=("eu", "web")), ["alpha", "beta"]),
        (Choice(hosts=("local", "alpha")), ["local", "alpha"]),
        (Choice(hosts=("beta",), groups=("web",)), ["beta", "alpha"]),
    ],
)
def test_each_stack_that_is_meant_is_worked_on_once(choice: Choice, names: list[str]):
    assert chosen(choice, KNOWN) == names


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (
            Choice(hosts=("alpha", "bta")),
            "no host 'bta' with settings here. Did you mean --host beta",
        ),
        (Choice(hosts=("alpha", "zzz")), "There is alpha, beta, local."),
        (Choice(groups=("wbe",)), "no group 'wbe' with settings here. Did you mean --group web?"),
        (Choice(groups=("zzz",)), "There is eu, web."),
    ],
)
def test_an_unknown_name_is_told_with_what_there_is(choice: Choice, said: str):
    with pytest.raises(FleetError, match=said.replace("?", r"\?")):
        chosen(choice, KNOWN)


def test_where_there_is_nothing_it_says_so():
    with pytest.raises(FleetError, match="no stack with settings here"):
        chosen(Choice(every=True), {})
    with pytest.raises(FleetError, match="config set groups GROUP"):
        chosen(Choice(groups=("web",)), {"alpha": ()})


@pytest.mark.parametrize(
    ("line", "choice", "words"),
    [
        ("--host a,b status", Choice(hosts=("a", "b")), "--host X status"),
        ("status --host a --host=b --json", Choice(hosts=("a", "b")), "--host X status --json"),
        ("--json --group web user list", Choice(groups=("web",)), "--host X --json user list"),
        ("user --all list -q", Choice(every=True), "--host X user list -q"),
        ("--all --parallel 3 start", Choice(every=True, parallel=3), "--host X start"),
        # What has the name of a global option, and is none.
        ("--host a uninstall --all", Choice(hosts=("a",)), "--host X uninstall --all"),
        ("host add b ada@b --group web", Choice(), "--host X host add b ada@b --group web"),
        ("--all uninstall --all", Choice(every=True), "--host X uninstall --all"),
        ("--all shell ls --all --host x", Choice(every=True), "--host X shell ls --all --host x"),
        ("--all shell -- --group x", Choice(every=True), "--host X shell -- --group x"),
        ("--all logs --grep --all", Choice(every=True), "--host X logs --grep --all"),
        ("--all logs -fn 5", Choice(every=True), "--host X logs -fn 5"),
        ("--all logs -n --group", Choice(every=True), "--host X logs -n --group"),
        ("--all logs -n5 --group a", Choice(every=True, groups=("a",)), "--host X logs -n5"),
        ("--all env set A=--all", Choice(every=True), "--host X env set A=--all"),
    ],
)
def test_what_names_the_stacks_is_told_from_the_commands_own_words(
    line: str, choice: Choice, words: str
):
    found = targets.take_apart(ROOT, line.split())
    assert found.is_command
    assert found.choice == choice
    assert found.words("X") == words.split()


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_how_many_at_once_is_a_number(number: str, capsys: pytest.CaptureFixture[str]):
    assert occ("--all", "--parallel", number, "status") == 1
    assert "--parallel takes how many at once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "several"),
    [
        ("status", False),
        ("status --host a", False),
        ("status --host=a", False),
        ("--host a,b status", True),
        ("--host=a,b status", True),
        ("--host a status --host b", True),
        ("--group a status", True),
        ("status --all", True),
    ],
)
def test_one_stack_is_worked_on_without_a_closer_look(line: str, several: bool):
    assert main._may_be_several(line.split()) is several


@pytest.mark.parametrize(
    "line",
    [
        "setup",
        "open",
        "shell",
        "status --watch",
        "config edit",
        "backup restore FILE",
        "attach",
        "host list",
        "uninstall --data --yes",
    ],
)
def test_what_makes_no_sense_on_several_is_refused_before_anything_runs(
    line: str, capsys: pytest.CaptureFixture[str]
):
    assert occ("--host", "a,b", *line.split()) == 1
    said = capsys.readouterr().err
    assert "Name one by --host NAME." in said
    assert len(said.splitlines()) == 1


def test_commands_that_are_refused_are_there():
    there = {" ".join(path) for path in _paths(ROOT)}
    assert there >= commands._ALONE.keys()


def _paths(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = getattr(group, "commands", {})
    return [path, *[each for name, sub in below.items() for each in _paths(sub, (*path, name))]]


def test_a_mistyped_line_is_told_once_and_not_by_each(capsys: pytest.CaptureFixture[str]):
    assert occ("--all", "status", "--jsno") == 2
    assert "Did you mean --json? See: occ status --help" in capsys.readouterr().err
    assert occ("--all", "stauts") == 2
    assert "Did you mean 'status'" in capsys.readouterr().err
    assert occ("--all", "status", "--help") == 0
    assert "Usage: occ status" in capsys.readouterr().out


def test_the_settings_that_a_checkout_brings_are_nobodys_stack_until_it_is_used(tmp_path: Path):
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    (stacks / "Pulumi.local.yaml").write_text("config:\n  opencode:image_source: build\n")
    (stacks / "Pulumi.box.yaml").write_text("config:\n  opencode:groups: web, eu\n")
    environment = {"XDG_DATA_HOME": str(tmp_path / "share"), "HOME": str(tmp_path)}
    assert fleet.known(tmp_path, environment) == {"box": ["web", "eu"]}
    with (stacks / "Pulumi.local.yaml").open("a") as file:
        file.write("encryptionsalt: v1:abc\n")
    assert list(fleet.known(tmp_path, environment)) == ["box", "local"]


def test_the_summary_has_a_row_for_each_with_the_first_line_of_what_went_wrong():
    results = {
        "alpha": Ended(0, 12.34),
        "beta": Ended(1, 0.4, "it cannot be reached"),
        "local": Ended(130, 0, NOT_BEGUN),
        "z": Ended(3, 1),
    }
    assert summary(results) == [
        "host   result       seconds",
        "alpha  done            12.3",
        "beta   failed           0.4  it cannot be reached",
        "local  not begun        0.0",
        "z      exit code 3      1.0",
    ]
    assert counted(results) == "1 done, 1 failed, 1 not begun, 1 exit code 3"


def test_what_a_command_complained_of_is_its_own_sentence():
    assert complaint(["note", "occ: It is gone. Do this.", "    more"]) == "It is gone. Do this."
    assert complaint(["sh: not found", ""]) == "sh: not found"
    assert complaint([]) == ""


def script(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each stack's process run this instead of occ; `name` is the stack's."""
    start = f"import sys, time, os\nname = sys.argv[2]\n{text}"
    monkeypatch.setattr(member, "_START", start)


class Heard(View):
    """A view that keeps what it was told."""

    def __init__(self, *names: str) -> None:
        super().__init__(names, Options(quiet=True))
        self.progress: list[tuple[str, str]] = []

    def progresses(self, name: str, text: str) -> None:
        self.progress.append((name, text))


def together(names: str, *, parallel: int = 8, **more: Any) -> tuple[dict[str, Ended], Heard]:
    view = Heard(*names)
    run = fleet.Fleet(list(names), lambda name: [name], view, parallel, **more)
    return run.run(), view


def test_each_process_has_no_terminal_and_its_lines_carry_its_name(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    script(
        "print('hello', name)\n"
        "print('occ: no', file=sys.stderr)\n"
        f"print({PROGRESS!r} + 'waiting', file=sys.stderr)\n"
        "print('x' * 200000)\n"
        "sys.exit(os.getsid(0) != os.getpid() or sys.stdin.read() != '')",
        monkeypatch,
    )
    found, view = together("ab")
    assert {name: ended.exit_code for name, ended in found.items()} == {"a": 0, "b": 0}
    shown = capfd.readouterr()
    assert {line for line in shown.out.splitlines() if "hello" in line} == {
        "a | hello a",
        "b | hello b",
    }
    assert f"a | {'x' * 200000}" in shown.out.splitlines()
    assert sorted(shown.err.splitlines()) == ["a | occ: no", "b | occ: no"]
    assert sorted(view.progress) == [("a", "waiting"), ("b", "waiting")]


def test_one_that_fails_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch):
    script("if name == 'b': sys.exit('occ: it is gone')", monkeypatch)
    found, _ = together("abc")
    assert [ended.exit_code for ended in found.values()] == [0, 1, 0]
    assert [ended.error for ended in found.values()] == ["", "it is gone", ""]


def test_json_of_each_is_its_result(monkeypatch: pytest.MonkeyPatch):
    script("""print('{"name": "' + name + '"}') if name == 'a' else None""", monkeypatch)
    found, _ = together("ab", as_json=True)
    assert [ended.result for ended in found.values()] == [{"name": "a"}, None]


def test_each_gets_the_same_input(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    script("print(sys.stdin.read())", monkeypatch)
    together("ab", stdin=b"word")
    assert sorted(capfd.readouterr().out.splitlines()) == ["a | word", "b | word"]


def test_no_more_run_at_once_than_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    script(
        f"open({str(tmp_path)!r} + '/' + name, 'w').close()\n"
        f"print(len(os.listdir({str(tmp_path)!r})))\n"
        f"time.sleep(0.1)\nos.unlink({str(tmp_path)!r} + '/' + name)",
        monkeypatch,
    )
    found, _ = together("abcdef", parallel=2, as_json=True)
    assert all(ended.result <= 2 for ended in found.values())


def test_a_process_that_something_holds_open_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    script("import subprocess\nsubprocess.Popen(['sleep', '30'])\nprint('done')", monkeypatch)
    found, _ = together("a")
    assert found["a"].exit_code == 0
    assert found["a"].seconds < 20


def test_where_nobody_reads_any_more_all_of_them_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    script(
        "try:\n    print(name, flush=True)\n    time.sleep(60)\n"
        f"except KeyboardInterrupt:\n    open({str(tmp_path)!r} + '/' + name, 'w').close()",
        monkeypatch,
    )

    begun: set[str] = set()

    def nobody(_: View, name: str, *__: Any, **___: Any) -> None:
        begun.add(name)
        if begun == {"a", "b"}:
            raise BrokenPipeError

    monkeypatch.setattr(Heard, "prints", nobody)
    with pytest.raises(BrokenPipeError):
        together("ab")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("color", [True, False])
def test_a_member_tells_its_progress_to_whoever_started_it(
    color: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(MEMBER, "1")
    with live_line.LiveLine("Starting x", Options(no_color=not color)) as line:
        for text in ("one", "one", "two"):
            line(text)
    assert capsys.readouterr().err == f"{PROGRESS}one\n{PROGRESS}two\n"


def test_all_of_them_as_json_is_one_object(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "stacks").mkdir()
    for name in ("a", "b"):
        (tmp_path / "stacks" / f"Pulumi.{name}.yaml").write_text("config: {}\n")
    monkeypatch.setattr("opencode_cloud.ops.project.folder", lambda: tmp_path)
    monkeypatch.setattr(
        member, "_START", "import sys\nprint(sys.argv[2:])\nsys.exit(len(sys.argv) - 6)"
    )
    assert occ("--all", "status", "--json") == 0
    shown = capfd.readouterr()
    found = json.loads(shown.out)
    assert list(found) == ["a", "b"]
    assert found["a"]["result"] == "['--host', 'a', 'status', '--json']"
    assert "2 done" in shown.err
    assert os.environ.get(MEMBER) is None
    assert sys.stdout.isatty() is False
