"""`occ mount`, and the same setting by `occ config`, on a stack's file alone."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml

from opencode_cloud.cli import app, config, main, mount
from opencode_cloud.cli.commands import Group, take, with_globals
from opencode_cloud.cli.options import Options
from opencode_cloud.configuration import SettingsError
from opencode_cloud.json_schemas import schema
from opencode_cloud.ops import project
from opencode_cloud.ops.errors import EngineError, NoDeploymentError

Occ = Callable[..., int]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "program" / "stacks" / "Pulumi.local.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("config:\n  opencode:image_source: build\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the host, and a link to it."""
    made = tmp_path / "src"
    made.mkdir(mode=0o777)
    made.chmod(0o777)
    (tmp_path / "link").symlink_to("src")
    return made


@pytest.fixture
def occ(file: Path, monkeypatch: pytest.MonkeyPatch) -> Occ:
    root = typer.Typer(name="occ", cls=Group)
    root.callback()(take)
    for noun in (mount, config):
        noun.register(root)
    with_globals(root)
    monkeypatch.setattr(app, "app", root)
    monkeypatch.setattr(project, "root", lambda: file.parents[1])
    monkeypatch.delenv("OPENCODE_STACK", raising=False)
    missing = NoDeploymentError("There is none.")
    monkeypatch.setattr(Options, "deployment", lambda _: (_ for _ in ()).throw(missing))
    return lambda *words: main.run(words)


def said_by(file: Path) -> str | None:
    return yaml.safe_load(file.read_text())["config"].get("opencode:mounts")


def test_a_folder_is_written_by_its_real_path_and_removed_by_its_place(
    occ: Occ, file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    before = file.read_text()
    assert occ("mount", "add", f"{folder.parent}/link/:/workspace/src:ro") == 0
    assert said_by(file) == f"{folder}:/workspace/src:ro"
    said = capsys.readouterr().out
    assert f"{folder} is what is mounted" in said
    assert "The container is replaced" in said
    assert "To apply it: occ start" in said
    assert occ("mount", "add", f"{folder}:/workspace/src") == 0
    assert said_by(file) == f"{folder}:/workspace/src", "the mode is the last one's"
    assert occ("mount", "add", f"{folder}:/workspace/src") == 0
    assert "says so already" in capsys.readouterr().out
    assert occ("mount", "remove", "/workspace/src/") == 0
    assert file.read_text() == before


@pytest.mark.parametrize(
    "words", [("mount", "add"), ("config", "set", "mounts"), ("config", "set", "opencode:mounts")]
)
def test_what_cannot_be_mounted_is_refused_by_either_way(
    occ: Occ, file: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    before = file.read_text()
    for spec, reason in {
        "/nowhere:/workspace/x": "does not exist",
        "/:/workspace/x": "a container engine's socket",
        "x:/workspace/x": "is not an absolute path",
    }.items():
        assert occ(*words, spec, "--yes") == 1
        assert reason in capsys.readouterr().err
    assert occ(*words, "/etc:/workspace/x:ro") == 1
    error = capsys.readouterr().err
    assert "password hashes among them: the agent could read it" in error
    assert f"Say so: occ {' '.join(words[:-1])} " in error.replace("opencode:", "")
    assert error.strip().endswith("/etc:/workspace/x:ro --yes")
    assert file.read_text() == before
    assert occ(*words, "/etc:/workspace/x:ro", "--yes") == 0
    assert said_by(file) == "/etc:/workspace/x:ro"


@pytest.mark.parametrize(("answer", "code"), [("y\nn\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_somebody_at_a_terminal_is_asked(
    occ: Occ, file: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
):
    monkeypatch.setattr(Options, "can_ask", property(lambda self: not self.quiet))
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert occ("mount", "add", "/etc:/workspace/x") == code
    assert (said_by(file) is not None) == (code == 0)


def test_the_name_of_the_setting_is_guessed(occ: Occ, capsys: pytest.CaptureFixture[str]):
    assert occ("config", "set", "mount", "/etc:/workspace/x") == 1
    assert "mounts" in capsys.readouterr().err


def test_the_list_says_how_each_folder_stands(
    occ: Occ,
    file: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    assert occ("mount", "list") == 0
    assert "To mount one: occ mount add /host/folder:/workspace/folder" in capsys.readouterr().out
    text = f"  opencode:mounts: {folder}:/workspace/src,/gone:/workspace/gone:ro\n"
    file.write_text(file.read_text() + text)
    assert occ("mount", "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"/workspace/src ← {folder}: waiting",
        "/workspace/gone ← /gone (read-only): waiting, but it does not exist",
        "To apply it: occ start",
    ]
    unreachable = EngineError("No engine.")
    monkeypatch.setattr(Options, "deployment", lambda _: (_ for _ in ()).throw(unreachable))
    assert occ("mount", "list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in found] == ["unknown", "unknown"]
    jsonschema.validate(found, schema("mount-list"))


def test_a_folder_for_one_start_joins_those_of_the_settings(
    occ: Occ, file: Path, folder: Path, tmp_path: Path
):
    assert occ("mount", "add", f"{folder}:/workspace/src") == 0
    before = file.read_text()
    options = Options(yes=True)
    specs = [f"{tmp_path}/link:/workspace/once:ro"]
    value = mount.for_one_start(options, specs, "occ start --yes")
    assert value == f"{folder}:/workspace/src,{folder}:/workspace/once:ro"
    assert file.read_text() == before
    with pytest.raises(SettingsError, match="has the place of"):
        mount.for_one_start(options, [f"{tmp_path}:/workspace/src"], "occ start --yes")
