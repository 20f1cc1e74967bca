import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from opencode_cloud import __version__
from opencode_cloud.cli import status_alone
from opencode_cloud.cli.app import app
from opencode_cloud.cli.docs import reference
from opencode_cloud.cli.options import Options
from tests.unit.cli_parts import occ


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = [commands(each, (*path, name)) for name, each in getattr(group, "commands", {}).items()]
    return [path, *[each for found in below for each in found]]


EVERY = commands(typer.main.get_command(app))


@pytest.fixture(autouse=True)
def no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("OPENCODE_STACK", raising=False)
    socket = str(tmp_path / "none.sock")
    monkeypatch.setattr("opencode_cloud.ops.docker_host.DEFAULT_SOCKET", socket)
    monkeypatch.setattr("opencode_cloud.ops.project.folder", lambda: tmp_path)


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_has_help_that_says_what_it_does_with_examples(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    assert occ(*path, "--help") == 0
    shown = capsys.readouterr().out
    assert " ".join(("Usage: occ", *path)) in shown
    assert "Example" in shown
    assert len(shown.splitlines()) > 6


def test_there_are_the_commands_that_look_and_talk():
    nouns = {path[0] for path in EVERY if path}
    assert nouns >= {"status", "start", "stop", "restart", "logs", "open", "user", "shell"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stauts", "Did you mean 'status'"),
        ("user ad", "Did you mean 'add'"),
        ("status --wach", "Did you mean --watch?"),
        ("logs --folow", "Did you mean --follow?"),
        ("status --jsno", "Did you mean --json?"),
        ("user add", "Missing argument 'USER'"),
        ("user add ada --generate --password-stdin", "use one of the two"),
        ("logs -n many", "-n takes a number of lines or all, not 'many'"),
        ("logs --grep (", "--grep takes a regular expression, and '(' is none"),
        ("logs --since yesterday", "'yesterday' is neither how long ago, such as 10m"),
        ("logs --json", "logs has no JSON output"),
        ("shell --json", "shell has no JSON output"),
    ],
)
def test_wrong_usage_is_told_in_one_sentence_with_where_to_look(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
):
    assert occ(*line.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert "--help" in shown.err
    assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("path", [(), ("user",)])
def test_a_group_alone_shows_what_there_is(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    assert occ(*path) == 2
    shown = capsys.readouterr()
    assert "Usage" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("line", ["status", "logs", "user list", "start", "stop", "open", "shell"])
def test_without_docker_every_command_says_what_to_do_and_shows_no_traceback(
    line: str, capsys: pytest.CaptureFixture[str]
):
    assert occ(*line.split()) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("occ: No Docker engine answers at /")
    assert "Start it" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", ["Local", "a b", "../x", "", "x" * 41])
def test_a_host_that_cannot_be_one_is_refused(name: str, capsys: pytest.CaptureFixture[str]):
    assert occ("status", "--host", name) == 1
    assert "cannot be a stack's name" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--host", "two", "probe"), ("probe", "--host", "two")])
def test_global_options_may_stand_before_the_command_and_among_its_own(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENCODE_STACK", "one")
    seen: list[Options] = []
    monkeypatch.setattr("opencode_cloud.cli.version.options_of", lambda context: context.obj)
    monkeypatch.setattr(Options, "deployment", lambda self: seen.append(self) or 1 / 0)
    line = ["version" if word == "probe" else word for word in words]
    assert occ(*line) == 1
    assert seen[0].host == "two"


def test_the_environment_says_the_stack_where_the_command_line_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("OPENCODE_STACK", "Not A Stack")
    assert occ("status") == 1
    assert "'Not A Stack' cannot be" in capsys.readouterr().err


def test_its_own_version_needs_nothing_else(capsys: pytest.CaptureFixture[str]):
    for line in (["--version"], ["--no-color", "--version"], ["status", "--version"]):
        assert occ(*line) == 0
        assert capsys.readouterr().out == f"opencode-cloud {__version__}\n"
    loaded = (
        "import sys; from opencode_cloud.cli.main import run; run(['--version']); "
        "print([name for name in ('typer', 'rich', 'pydantic', 'pulumi') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines()[-1] == "[]"


def test_commands_that_only_look_load_nothing_slow():
    loaded = (
        "import sys; import opencode_cloud.cli.app, opencode_cloud.ops.users; "
        "print([name for name in ('rich', 'pydantic', 'pulumi', 'docker') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "[]\n"


def test_a_mistake_of_its_own_is_told_without_a_traceback_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(Options, "deployment", lambda _: 1 / 0)
    assert occ("stop") == 1
    assert "ZeroDivisionError: division by zero). The same command with --verbose" in (
        capsys.readouterr().err
    )
    with pytest.raises(ZeroDivisionError):
        occ("stop", "--verbose")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_shells_complete_commands(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    with pytest.raises(SystemExit):
        occ("--show-completion", shell)
    assert "OCC_COMPLETE" in capsys.readouterr().out
    monkeypatch.setenv("_OCC_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "occ user re")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "occ user re")
    monkeypatch.setenv("_TYPER_COMPLETE_WORD_TO_COMPLETE", "re")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    with pytest.raises(SystemExit):
        occ()
    assert "remove" in capsys.readouterr().out


def test_version_is_told_without_docker_too(capsys: pytest.CaptureFixture[str]):
    assert occ("version") == 0
    assert capsys.readouterr().out.startswith(f"opencode-cloud {__version__}\nimage")
    assert occ("version", "--json") == 0
    assert f'"cli": "{__version__}"' in capsys.readouterr().out


def test_the_reference_has_every_command_and_no_hidden_option_twice():
    page = reference()
    for path in EVERY:
        if path and path not in {other[:-1] for other in EVERY}:
            assert f"## `occ {' '.join(path)}" in page
    assert page.count("`--quiet, -q`") == 1
    assert "\n\n\n" not in page


def test_the_command_of_a_new_checkout_says_how_to_begin(root: Path, tmp_path: Path):
    copy = tmp_path / "occ"
    copy.write_text((root / "occ").read_text())
    done = subprocess.run(["sh", str(copy), "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{tmp_path}/occ setup" in done.stderr
    assert f"{tmp_path}/start (which does not)" in done.stderr


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ("status", Options()),
        ("--host second status --json", Options(host="second", json=True)),
        ("status -q --no-color --host x", Options(host="x", quiet=True, no_color=True)),
        ("status --watch", None),
        ("status --help", None),
        ("status --jsn", None),
        ("status status", None),
        ("status --host", None),
    ],
)
def test_the_usual_words_of_status_need_no_parser_and_mean_the_same(
    monkeypatch: pytest.MonkeyPatch, words: str, means: Options | None
):
    monkeypatch.delenv("OPENCODE_STACK", raising=False)
    assert status_alone.plain(words.split()) == means
    monkeypatch.setenv("OPENCODE_STACK", "third")
    assert status_alone.plain(["status"]) == Options(host="third")


def test_the_usual_words_of_status_load_no_parser():
    loads = (
        "import sys; from opencode_cloud.cli import main; "
        "main.run(['status', '--host', 'nobody', '--quiet']); "
        "print(sorted({'typer', 'pydantic', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", loads],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
