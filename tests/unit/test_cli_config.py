import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from pydantic import TypeAdapter

from opencode_cloud.cli import app, config, main
from opencode_cloud.cli.commands import Group, take
from opencode_cloud.cli.options import Options
from opencode_cloud.ops import project
from opencode_cloud.ops.stack_change import Written
from opencode_cloud.ops.stack_overview import Overview, Row

FILE = """\
# Ours.
config:
  opencode:image_source: build  # for now
encryptionsalt: v1:salt
"""

Occ = Callable[..., int]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stacks" / "Pulumi.local.yaml"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


@pytest.fixture
def occ(file: Path, monkeypatch: pytest.MonkeyPatch) -> Occ:
    root = typer.Typer(name="occ", cls=Group)
    root.callback()(take)
    config.register(root)
    monkeypatch.setattr(app, "app", root)
    monkeypatch.setattr(project, "root", lambda: file.parents[1])
    for name in ("OPENCODE_STACK", "PULUMI_BACKEND_URL", "VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: main.run(["config", *words])


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sit somebody at a terminal, who types these lines."""

    def typed(lines: str) -> None:
        monkeypatch.setattr(Options, "can_ask", property(lambda self: not self.quiet))
        monkeypatch.setattr("sys.stdin", io.StringIO(lines))

    return typed


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let $EDITOR be a script: one text for each time that it is opened."""

    def writes(*texts: str) -> None:
        for number, text in enumerate(texts, 1):
            (tmp_path / f"text{number}").write_text(text)
        script = tmp_path / "editor"
        script.write_text(
            f'#!/bin/sh\ncd {tmp_path}\necho x >> opened\ncp "text$(wc -l < opened)" "$1"\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("EDITOR", str(script))

    return writes


def test_show_names_every_setting_its_value_and_where_it_comes_from(
    occ: Occ, capsys: pytest.CaptureFixture[str]
):
    assert occ("show") == 0
    shown = capsys.readouterr().out
    assert "image_source = build  (from stacks/Pulumi.local.yaml; default: prebuilt)\n" in shown
    assert "port = 4096  (default)\n    Port on the host" in shown


def test_show_of_settings_that_cannot_be_used_shows_them_and_says_what_is_wrong(
    occ: Occ, file: Path, capsys: pytest.CaptureFixture[str]
):
    file.write_text(FILE.replace("config:\n", "config:\n  opencode:port: 0\n  opencode:prot: 1\n"))
    assert occ("show") == 1
    shown = capsys.readouterr()
    assert "port = 0  (from" in shown.out
    assert "prot = 1  (from" in shown.out
    assert "2 settings of stack 'local' cannot be used" in shown.err


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("show",), Overview),
        (("get", "port"), Row),
        (("set", "port", "81"), Written),
        (("set", "image_source", "build"), Written),
        (("unset", "port"), Written),
    ],
)
def test_json_is_as_its_schema_says_and_nothing_else_is_printed(
    occ: Occ, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], kind: type[Any]
):
    assert occ(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, TypeAdapter(kind).json_schema(mode="serialization"))


def test_encrypted_values_are_never_printed(
    occ: Occ, file: Path, capsys: pytest.CaptureFixture[str]
):
    secret = "  opencode:acme_email:\n    secure: v1:cipher\n"
    file.write_text(FILE.replace("config:\n", f"config:\n{secret}"))
    assert occ("show") == 0
    assert occ("show", "--json") == 0
    assert occ("get", "acme_email", "--json") == 0
    assert occ("get", "acme_email") == 1
    shown = capsys.readouterr()
    assert "acme_email = (secret)" in shown.out
    assert "pulumi config get acme_email -s local" in shown.err
    assert "cipher" not in shown.out + shown.err
    assert occ("unset", "port") == 0
    assert secret in file.read_text()


def test_get_prints_the_bare_value_of_a_key_in_any_spelling(
    occ: Occ, capsys: pytest.CaptureFixture[str]
):
    for key in ("image_source", "opencode:image-source", "proxy-protocol"):
        assert occ("get", key) == 0
    assert capsys.readouterr().out == "build\nbuild\nfalse\n"


def test_set_says_what_it_means_before_it_writes_and_what_comes_next(
    occ: Occ, file: Path, capsys: pytest.CaptureFixture[str]
):
    assert occ("set", "rate-limit-attempts", "010") == 0
    said = capsys.readouterr().out
    order = ["rate_limit_attempts: '5' (default) -> '10'", "container is replaced", "Written"]
    assert [said.index(part) for part in order] == sorted(said.index(part) for part in order)
    assert said.endswith("To apply it: occ start\n")
    assert file.read_text() == FILE.replace(
        "# for now\n", '# for now\n  opencode:rate_limit_attempts: "10"\n'
    )


def test_what_changes_nothing_needs_no_next_command(occ: Occ, capsys: pytest.CaptureFixture[str]):
    assert occ("set", "allow_network_exposure", "yes") == 0
    said = capsys.readouterr().out
    assert "Nothing changes in the running deployment." in said
    assert "To apply it" not in said
    assert occ("set", "allow_network_exposure", "true") == 0
    assert "says so already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "port", "70000"), "opencode:port = '70000' should be less than"),
        (("set", "port", "many"), "opencode:port = 'many'"),
        (("set", "bind_address", "0.0.0.0"), "can be reached by other machines"),
        (("set", "image_source", "prebuilt"), "opencode:prebuilt_image = '' is empty"),
        (("unset", "image_source"), "opencode:prebuilt_image = '' is empty"),
        (("set", "auth_password", "hunter2"), "occ user add"),
        (("set", "cockpit", "true"), "occ config show"),
        (("set", "prot", "1"), "Did you mean port?"),
        (("unset", "prot"), "Did you mean port?"),
        (("get", "prot"), "Did you mean port?"),
        (("edit",), "EDITOR=nano occ config edit"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_the_file_as_it_was(
    occ: Occ, file: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
):
    assert occ(*words, "--yes") == 1
    assert said in capsys.readouterr().err
    assert file.read_text() == FILE


def test_on_a_terminal_what_endangers_data_is_asked_for(
    occ: Occ, file: Path, answer: Callable[[str], None], capsys: pytest.CaptureFixture[str]
):
    for no in ("n\n", "\n", ""):
        answer(no)
        assert occ("set", "delete_data_on_destroy", "local") == 1
        assert file.read_text() == FILE
    assert "Nothing was changed." in capsys.readouterr().err
    answer("y\nn\n")
    assert occ("set", "delete_data_on_destroy", "local") == 0
    assert "delete_data_on_destroy: local" in file.read_text()


def test_on_a_terminal_it_is_written_and_applied_only_with_a_yes(
    occ: Occ, file: Path, answer: Callable[[str], None], capsys: pytest.CaptureFixture[str]
):
    answer("n\n")
    assert occ("set", "port", "81") == 0
    said = capsys.readouterr()
    assert "Apply it now? [y/N]" in said.err
    assert said.out.endswith("To apply it: occ start\n")
    assert "81" in file.read_text()
    assert occ("unset", "port", "--yes") == 0
    assert "Apply it now?" not in capsys.readouterr().err, "--yes is about what is asked to write"


def test_without_anybody_to_ask_what_endangers_data_needs_a_yes(
    occ: Occ, file: Path, capsys: pytest.CaptureFixture[str]
):
    assert occ("set", "delete_data_on_destroy", "local") == 1
    said = capsys.readouterr().err
    assert "deletes users, sessions and data" in said
    assert "occ config set delete_data_on_destroy local --yes" in said
    assert file.read_text() == FILE
    assert occ("set", "delete_data_on_destroy", "local", "--yes") == 0
    assert "delete_data_on_destroy: local" in file.read_text()


def test_quiet_says_nothing_and_asks_nothing(
    occ: Occ, answer: Callable[[str], None], capsys: pytest.CaptureFixture[str]
):
    answer("n\n")
    assert occ("set", "port", "81", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_unset_gives_the_default_back_and_removes_what_is_no_setting(occ: Occ, file: Path):
    unknown = "  opencode:cockpit: 'true'\n"
    file.write_text(FILE.replace("encryptionsalt", f"{unknown}encryptionsalt"))
    assert occ("set", "port", "81") == 0, "what was wrong before does not stand in its way"
    assert occ("unset", "cockpit") == 0
    assert occ("unset", "opencode:port") == 0
    assert file.read_text() == FILE


def test_an_edit_is_checked_and_written(occ: Occ, file: Path, editor: Callable[..., None]):
    text = FILE.replace("config:\n", 'config:\n  # New.\n  opencode:port: "81"\n')
    editor(text)
    assert occ("edit") == 0
    assert file.read_text() == text


def test_an_edit_that_changes_nothing_does_nothing(
    occ: Occ, file: Path, editor: Callable[..., None], capsys: pytest.CaptureFixture[str]
):
    editor(FILE)
    before = file.stat()
    assert occ("edit") == 0
    assert "Nothing was changed" in capsys.readouterr().out
    assert file.stat() == before


BROKEN = [
    FILE.replace("build", "guess"),
    FILE.replace("config:", "config: ["),
    FILE.replace("v1:salt", "v1:other"),
    "",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_edit_never_lands(occ: Occ, file: Path, editor: Callable[..., None], text: str):
    editor(text)
    assert occ("edit", "--yes") == 1
    assert file.read_text() == FILE


def test_a_broken_edit_can_be_gone_on_with_or_given_up(
    occ: Occ,
    file: Path,
    editor: Callable[..., None],
    answer: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
):
    good = FILE.replace("config:\n", "config:\n  opencode:cpus: 1\n")
    editor(BROKEN[0], BROKEN[1], good, BROKEN[0])
    answer("\ny\nn\n")
    assert occ("edit") == 0
    assert file.read_text() == good
    assert "should be 'prebuilt' or 'build'" in capsys.readouterr().err
    answer("n\n")
    assert occ("edit") == 1
    assert file.read_text() == good


@pytest.mark.parametrize("command", ["false", "/nowhere/editor", "sh -c 'rm \"$0\"'"])
def test_an_editor_that_fails_changes_nothing(
    occ: Occ, file: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.setenv("VISUAL", command)
    assert occ("edit") == 1
    assert file.read_text() == FILE


def test_schema_is_the_committed_one(occ: Occ, root: Path, capsys: pytest.CaptureFixture[str]):
    assert occ("schema") == 0
    assert capsys.readouterr().out == (root / "schemas" / "stack.schema.json").read_text()


def test_another_stack_is_chosen_by_host(occ: Occ, file: Path, capsys: pytest.CaptureFixture[str]):
    other = file.with_name("Pulumi.second.yaml")
    other.write_text(FILE)
    assert occ("set", "port", "81", "--host", "second") == 0
    assert "To apply it: occ --host second start" in capsys.readouterr().out
    assert '"81"' in other.read_text()
    assert file.read_text() == FILE
    assert occ("get", "port", "--host", "secnd") == 1
    assert "Did you mean second?" in capsys.readouterr().err
