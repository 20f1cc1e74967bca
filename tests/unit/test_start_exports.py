import subprocess
from pathlib import Path

import pytest

from opencode_cloud.start.engine import Engine
from opencode_cloud.start.exports import (
    PulumiEnvironment,
    uses_own_backend,
    uses_own_passphrase,
)
from opencode_cloud.start.paths import Paths

AWKWARD = 'it\'s a "folder" with $(spaces) and `ticks`'


def paths(folder: Path) -> Paths:
    return Paths(root=folder / "checkout", data=folder / "data", cache=folder / "cache")


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_exports_survive_eval_whatever_the_folders_are_called(tmp_path: Path, shell: str):
    here = paths(tmp_path / AWKWARD)
    engine = Engine("x", bin=here.cache / "bin", home=here.pulumi_home, offline=True)
    script = PulumiEnvironment(here, engine, {"PATH": "/usr/bin"}).as_shell()
    shown = subprocess.run(
        [shell, "-c", 'eval "$EXPORTS"; env -0'],
        env={"EXPORTS": script, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    got = dict(entry.split("=", 1) for entry in shown.stdout.split("\0") if entry)
    assert got["PATH"] == f"{here.venv}/bin:{here.cache}/bin:/usr/bin:/bin"
    assert got["VIRTUAL_ENV"] == str(here.venv)
    assert got["PULUMI_HOME"] == str(here.pulumi_home)
    assert got["PULUMI_BACKEND_URL"] == f"file://{here.state}"
    assert got["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(here.passphrase)
    assert got["PULUMI_SKIP_UPDATE_CHECK"] == "true"


def test_every_line_is_an_export(tmp_path: Path):
    text = PulumiEnvironment(paths(tmp_path), Engine("x"), {}).as_shell()
    assert all(line.startswith("export ") for line in text.splitlines())


def test_a_pulumi_of_the_users_own_keeps_its_home_and_its_place_on_path(tmp_path: Path):
    shown = PulumiEnvironment(paths(tmp_path), Engine("x"), {"PATH": "/opt/pulumi"})
    assert "PULUMI_HOME" not in shown.variables
    assert shown.for_commands()["PATH"] == f"{tmp_path}/checkout/.venv/bin:/opt/pulumi"


def test_evaluating_twice_does_not_grow_the_path_of_what_start_runs(tmp_path: Path):
    here = paths(tmp_path)
    engine = Engine("x", bin=here.cache / "bin")
    once = PulumiEnvironment(here, engine, {"PATH": "/usr/bin"}).for_commands()
    assert PulumiEnvironment(here, engine, once).for_commands()["PATH"] == once["PATH"]


def test_another_backend_is_one_setting(tmp_path: Path):
    here = paths(tmp_path)
    theirs = {"PULUMI_BACKEND_URL": "s3://state"}
    assert not uses_own_backend(here, theirs)
    assert PulumiEnvironment(here, Engine("x"), theirs).variables["PULUMI_BACKEND_URL"] == (
        "s3://state"
    )
    assert uses_own_backend(here, {})
    assert uses_own_backend(here, {"PULUMI_BACKEND_URL": f"file://{here.state}"})


@pytest.mark.parametrize(
    "given", [{"PULUMI_CONFIG_PASSPHRASE": ""}, {"PULUMI_CONFIG_PASSPHRASE_FILE": "/elsewhere"}]
)
def test_a_passphrase_of_the_users_own_is_left_to_them(tmp_path: Path, given: dict[str, str]):
    here = paths(tmp_path)
    assert not uses_own_passphrase(here, given)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in (
        PulumiEnvironment(here, Engine("x"), given).variables
    )


def test_the_folders_are_where_the_xdg_variables_say_and_relative_ones_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", "/home/ada")
    assert Paths.of(tmp_path, {}).state == Path("/home/ada/.local/share/opencode-cloud/state")
    given = {"XDG_DATA_HOME": "/data", "XDG_CACHE_HOME": "relative"}
    assert Paths.of(tmp_path, given).passphrase == Path("/data/opencode-cloud/passphrase")
    assert Paths.of(tmp_path, given).cache == Path("/home/ada/.cache/opencode-cloud")
