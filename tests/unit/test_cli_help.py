"""Every command's help, and what every command does where nobody can be asked."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from opencode_cloud.cli import assembly, main
from opencode_cloud.cli.app import app
from opencode_cloud.cli.commands import take
from tests.unit.cli_parts import occ

HERE = Path(__file__).parents[2]
WIDEST = 100


def leaves(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words."""
    below = getattr(group, "commands", {})
    if not below:
        return [(path, group)]
    return [each for name, command in below.items() for each in leaves(command, (*path, name))]


ROOT: Any = typer.main.get_command(app)
EVERY = leaves(ROOT)
GROUPS = sorted({path[:-1] for path, _ in EVERY})


def options(command: Any) -> list[Any]:
    return [param for param in command.params if hasattr(param, "is_flag") and not param.hidden]


def name(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else ""


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """No Docker, no settings, no state."""
    monkeypatch.delenv("OPENCODE_STACK", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    socket = str(tmp_path / "none.sock")
    monkeypatch.setattr("opencode_cloud.ops.docker_host.DEFAULT_SOCKET", socket)
    (tmp_path / "stacks").mkdir()
    for module in ("project.folder", "project.root"):
        monkeypatch.setattr(f"opencode_cloud.ops.{module}", lambda: tmp_path)


@pytest.mark.parametrize(("path", "command"), EVERY, ids=name)
def test_help_has_examples_that_are_commands_of_ours(path: tuple[str, ...], command: Any):
    lines = [line.strip() for line in (command.epilog or "").splitlines()]
    assert lines[:2] == ["\b", "Examples:"]
    assert len(lines) > 2
    for line in lines[2:]:
        assert re.search(r"\b(occ|opencode-cloud)\b", line), line
        assert path[-1] in line or path == ("version",), line


@pytest.mark.parametrize(("path", "command"), EVERY, ids=name)
def test_every_option_and_argument_is_explained(path: tuple[str, ...], command: Any):
    assert command.help, path
    for param in command.params:
        assert getattr(param, "help", ""), (path, param.name)
        if param in options(command):
            assert param.help.endswith((".", "?", "…")), (path, param.help)


@pytest.mark.parametrize("path", [*GROUPS, *(path for path, _ in EVERY)], ids=name)
def test_help_fits_a_terminal(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", str(WIDEST))
    monkeypatch.setenv("TERMINAL_WIDTH", str(WIDEST))
    assert occ(*path, "--help") == 0
    shown = capsys.readouterr()
    assert max(len(line.rstrip()) for line in shown.out.splitlines()) <= WIDEST
    assert shown.err == ""
    assert "Traceback" not in shown.out


def misspelt(word: str) -> str:
    """Leave out the second letter from the end."""
    return word[:-2] + word[-1]


@pytest.mark.parametrize(("path", "command"), EVERY, ids=name)
def test_a_mistyped_command_or_option_is_told_with_the_one_that_is_meant(
    path: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]
):
    if len(path[-1]) > 3:
        assert occ(*path[:-1], misspelt(path[-1])) == 2
        assert f"'{path[-1]}'" in capsys.readouterr().err
    for option in options(command):
        word = max(option.opts, key=len)
        if len(word) > 6 and word != "--help":
            assert occ(*path, misspelt(word)) == 2
            assert f"Did you mean {word}?" in capsys.readouterr().err, word


ARGUMENTS = {
    "env set": ("NAME=value",),
    "env remove": ("NAME",),
    "secret set": ("NAME",),
    "secret remove": ("NAME",),
    "mount add": ("/tmp:/workspace/tmp",),
    "mount remove": ("/workspace/tmp",),
    "config get": ("port",),
    "config set": ("port", "8080"),
    "config unset": ("port",),
    "backup verify": ("none.tar",),
    "backup restore": ("none.tar",),
    # Nobody listens there.
    "host add": ("box", "ada@127.0.0.1", "--port", "1", "--wait", "0"),
    **{f"host {verb}": ("box",) for verb in ("show", "edit", "remove", "test")},
    "completions": ("bash",),
    **{f"user {verb}": ("ada",) for verb in ("add", "remove", "passwd", "enable", "disable")},
}
"""What a command cannot do without."""


QUIET = ((), ("--quiet",))
PROGRAM = """\
import contextlib, io, json, sys
from pathlib import Path

from opencode_cloud.cli.main import run
from opencode_cloud.ops import docker_host, project

here = Path(sys.argv[1])
docker_host.DEFAULT_SOCKET = str(here / "none.sock")
project.folder = project.root = lambda: here
for words in json.load(open(sys.argv[2])):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words)
    print(json.dumps([words, code, err.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def unattended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Exit code and complaint of every command, with nothing on standard input and no terminal."""
    folder = tmp_path_factory.mktemp("unattended")
    settings = folder / "stacks" / "Pulumi.local.yaml"
    settings.parent.mkdir()
    settings.write_text("config:\n  opencode:image_source: build\n")
    lines = [[*path, *ARGUMENTS.get(name(path), ()), *q] for path, _ in EVERY for q in QUIET]
    (folder / "lines").write_text(json.dumps(lines))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(folder / "lines")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_DATA_HOME": str(folder / "share"), "PYTHONPATH": str(HERE)},
        timeout=120,
        check=False,
        start_new_session=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(lines), (found[-1:], done.stderr)
    return {" ".join(words): (code, said) for words, code, said in found}


@pytest.mark.parametrize("quiet", QUIET, ids=["plain", "quiet"])
@pytest.mark.parametrize("path", [path for path, _ in EVERY], ids=name)
def test_nobody_is_asked_where_nobody_can_answer(
    path: tuple[str, ...], quiet: tuple[str, ...], unattended: dict[str, tuple[int, str]]
):
    code, said = unattended[" ".join((*path, *ARGUMENTS.get(name(path), ()), *quiet))]
    assert "Traceback" not in said
    assert "mistake of occ's own" not in said
    assert code in (0, 1, 2, 3), said
    if code == 1 and path not in (("doctor",), ("config", "show")):
        assert said.startswith("occ: "), said


def test_global_options_are_explained_once():
    taken = typer.Typer(add_completion=False)
    taken.command()(take)
    for param in options(typer.main.get_command(taken)):
        assert param.help, param.name


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("status", "status"),
        ("--host status user list", "user"),
        ("--host=x --json status", "status"),
        ("-q status --watch", "status"),
        ("--host", ""),
        ("--help", ""),
        ("", ""),
    ],
)
def test_the_command_is_found_among_global_options(line: str, command: str):
    assert main._command(line.split()) == command


def test_status_alone_loads_no_other_command_and_is_the_same(capsys: pytest.CaptureFixture[str]):
    assert occ("status", "--help") == 0
    alone = capsys.readouterr().out
    assert assembly.call(app, ["status", "--help"], "occ") == 0
    assert capsys.readouterr().out == alone
    loaded = (
        "import sys; from opencode_cloud.cli.main import run; run(['status', '--help']); "
        "print([n for n in ('user', 'backup', 'app') if f'opencode_cloud.cli.{n}' in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True, cwd=HERE
    )
    assert shown.stdout.splitlines()[-1] == "[]"
