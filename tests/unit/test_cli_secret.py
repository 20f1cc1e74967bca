import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opencode_cloud.cli import app, hidden_line, main
from opencode_cloud.cli.options import Options
from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops import program, project

FILE = """\
config:
  opencode:image_source: build
  env:TZ: UTC
  secret:OLD:
    secure: v1:a:b
"""
SALT = "encryptionsalt: v1:salt\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "stacks" / "Pulumi.local.yaml"
    path.parent.mkdir()
    path.write_text(FILE + SALT)
    monkeypatch.setattr(project, "root", lambda: tmp_path)
    monkeypatch.delenv("OPENCODE_STACK", raising=False)
    return path


@pytest.fixture
def asked(file: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], str]]:
    """A Pulumi that encrypts; gives each command and what it got on standard input."""
    seen: list[tuple[tuple[str, ...], str]] = []

    def pulumi(*words: str, stdin: str) -> str:
        seen.append((words, stdin))
        copy = Path(words[words.index("--config-file") + 1])
        text = copy.read_text().replace("config: {}", "config:\n  secret:NAME:\n    secure: v1:x:y")
        salt = "" if "encryptionsalt" in text else SALT
        copy.write_text(text + salt)
        return ""

    stand_in: Any = SimpleNamespace(stack="local", pulumi=pulumi)
    monkeypatch.setattr(program, "program_of", lambda *_: stand_in)
    return seen


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def given(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return given


Asked = list[tuple[tuple[str, ...], str]]


def test_a_value_goes_to_pulumi_by_standard_input_alone_and_is_written_encrypted(
    file: Path,
    asked: Asked,
    stdin: Callable[[bytes], None],
    capsys: pytest.CaptureFixture[str],
):
    stdin(b"planted\n\n")
    assert main.run(["secret", "set", "NEW", "--stdin"]) == 0
    [(words, given)] = asked
    assert given == "planted\n\n", "Pulumi takes one line end away"
    assert "planted" not in " ".join(words)
    said = capsys.readouterr()
    assert "planted" not in said.out + said.err
    assert said.out.startswith("secret:NEW: (secret), new\nWhen it is applied:\n")
    text = file.read_text()
    assert text.startswith(FILE + "  secret:NEW: {set: ")
    assert text.endswith(', value: {secure: "v1:x:y"}}\n' + SALT)


def test_the_first_secret_binds_the_file_to_the_passphrase(
    file: Path, asked: Asked, stdin: Callable[[bytes], None]
):
    file.write_text("config:\n  opencode:image_source: build\n")
    stdin(b"planted")
    assert main.run(["secret", "set", "NEW", "--stdin"]) == 0
    assert file.read_text().splitlines()[-1] == 'encryptionsalt: "v1:salt"'


def test_a_value_is_typed_only_where_somebody_sits(
    file: Path,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    assert main.run(["secret", "set", "NEW"]) == 1
    assert "(occ secret set NEW --stdin)" in capsys.readouterr().err
    monkeypatch.setattr(Options, "can_ask", property(lambda self: not self.quiet))
    monkeypatch.setattr(hidden_line, "ask", lambda *_: "typed")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main.run(["secret", "set", "NEW"]) == 0
    assert asked[0][1] == "typed\n"
    assert main.run(["secret", "set", "NEW", "--quiet"]) == 1


@pytest.mark.parametrize("words", [["NEW", "planted"], ["NEW=planted"], ["NEW", "a", "planted"]])
def test_a_value_on_the_command_line_is_refused_and_not_repeated(
    file: Path, asked: Asked, words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main.run(["secret", "set", *words]) == 1
    said = capsys.readouterr().err
    assert "your shell's history" in said
    assert "planted" not in said
    assert not asked


@pytest.mark.parametrize(
    ("words", "content", "why"),
    [
        (["TZ", "--stdin"], b"x", "occ env remove TZ"),
        (["HOME", "--stdin"], b"x", "who the agent is"),
        (["NEW", "--stdin"], b"\r\n", "is empty"),
        (["NEW", "--stdin"], b"\xff", "UTF-8"),
        (["NEW", "--stdin"], b"x" * 40_000, "longer than 32 KiB"),
        (["NEW", "--file", "/nowhere"], b"", "cannot be read"),
    ],
)
def test_what_cannot_be_a_secret_never_reaches_pulumi(
    asked: Asked,
    stdin: Callable[[bytes], None],
    words: list[str],
    content: bytes,
    why: str,
):
    stdin(content)
    with pytest.raises(OpencodeCloudError, match=why):
        app.call(["secret", "set", *words], "occ")
    assert not asked


def test_the_list_has_names_and_moments_and_no_values(
    file: Path, capsys: pytest.CaptureFixture[str]
):
    assert main.run(["secret", "list"]) == 0
    assert capsys.readouterr().out == "OLD  set by pulumi, not known when\n"
    assert main.run(["secret", "list", "--json"]) == 0
    expected = [{"name": "OLD", "set": None, "encrypted": True}]
    assert json.loads(capsys.readouterr().out) == expected


def test_removal_is_asked_for(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main.run(["secret", "remove", "OLD"]) == 1
    assert "occ secret remove OLD --yes" in capsys.readouterr().err
    monkeypatch.setattr(Options, "can_ask", property(lambda self: not self.quiet))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main.run(["secret", "remove", "OLD"]) == 1
    assert "OLD" in file.read_text()
    assert main.run(["secret", "remove", "OLD", "--yes"]) == 0
    assert "OLD" not in file.read_text()


def test_variables_that_look_secret_are_sent_to_where_they_belong(
    file: Path, capsys: pytest.CaptureFixture[str]
):
    assert main.run(["env", "set", "A_TOKEN=x", "B=1"]) == 1
    assert "occ secret set A_TOKEN" in capsys.readouterr().err
    assert file.read_text() == FILE + SALT
    assert main.run(["env", "set", "A_TOKEN=x", "B=1", "--yes"]) == 0
    assert '  env:A_TOKEN: "x"\n' in file.read_text()


def test_variables_are_listed_as_a_shell_takes_them(file: Path, capsys: pytest.CaptureFixture[str]):
    assert main.run(["env", "set", "A=it's\n\u00e9\x1b", "--quiet"]) == 0
    assert main.run(["env", "list"]) == 0
    assert capsys.readouterr().out == "A=$'it\\'s\\n\u00e9\\U0000001b'\nTZ=UTC\n"
    assert main.run(["env", "remove", "A", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["differences"] == [{"key": "env:A", "old": "it's\n\u00e9\x1b", "new": None}]
    assert main.run(["env", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"TZ": "UTC"}


@pytest.mark.parametrize(("key", "command"), [("env:A", "occ env"), ("secret:A", "occ secret")])
def test_config_says_whose_they_are(
    file: Path, key: str, command: str, capsys: pytest.CaptureFixture[str]
):
    for words in (("get", key), ("set", key, "x")):
        assert main.run(["config", *words]) == 1
        assert command in capsys.readouterr().err
