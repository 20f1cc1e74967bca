from pathlib import Path

import pytest

from opencode_cloud.start import engine
from opencode_cloud.start.engine import (
    OLDEST,
    Finder,
    Plugin,
    has_plugins,
    is_usable,
    parse_version,
    plugins,
)
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.process import Runner
from tests.unit.start_parts import LINUX, ROOT

NEEDED = [Plugin("docker", "5.2.0"), Plugin("command", "1.2.1")]
REQUIREMENTS = "pulumi==3.272.0 \\\n    --hash=x\npulumi-docker==5.2.0\npulumi-command==1.2.1\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS)
    return Paths(root=tmp_path, data=tmp_path / "data", cache=tmp_path / "cache")


def install(folder: Path, version: str = "v3.240.0", *, host: bool = True) -> Path:
    folder.mkdir(parents=True)
    scripts = {"pulumi": f"echo {version}"} | ({"pulumi-language-python": ":"} if host else {})
    for name, line in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return folder


def give_plugins(home: Path, of: Path | None = None) -> None:
    for plugin in NEEDED:
        (home / "plugins" / plugin.folder).mkdir(parents=True)
    if of:
        (home / "plugins" / "made-for").write_text(str(of))


def finder(paths: Paths, *folders: Path, **environment: str) -> Finder:
    path = ":".join([*map(str, folders), "/bin"])
    environment = {"PATH": path, "PULUMI_HOME": str(paths.root / "users-home"), **environment}
    return Finder(paths, Runner(environment, LINUX), environment)


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "built_programs", lambda _: None)


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("v3.232.0", True),
        ("3.240.1", True),
        ("v3.300.0-alpha.1", True),
        ("v3.231.9", False),
        ("v4.0.0", False),
        ("v2.25.2", False),
        ("", False),
        ("command not understood", False),
    ],
)
def test_engines_from_the_tested_one_up_to_the_next_major_are_usable(text: str, usable: bool):
    assert is_usable(parse_version(text)) is usable


def test_the_oldest_usable_engine_is_the_one_that_is_built_and_tested():
    modules = (ROOT / "tools" / "engine" / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{'.'.join(map(str, OLDEST))}" in modules


def test_plugins_have_the_versions_of_the_packages_that_speak_to_them():
    assert plugins(REQUIREMENTS) == NEEDED
    locked = {plugin.name for plugin in plugins((ROOT / "requirements.txt").read_text())}
    assert locked == {"docker", "command"}


def test_a_half_installed_plugin_does_not_count(tmp_path: Path):
    give_plugins(tmp_path)
    assert has_plugins(tmp_path, NEEDED)
    (tmp_path / "plugins" / f"{NEEDED[0].folder}.partial").touch()
    assert not has_plugins(tmp_path, NEEDED)


def test_a_pulumi_on_path_comes_first(paths: Paths, tmp_path: Path):
    users = install(tmp_path / "users")
    give_plugins(tmp_path / "users-home")
    official = install(paths.downloads / f"v{'.'.join(map(str, OLDEST))}")
    give_plugins(paths.pulumi_home, official)
    found = finder(paths, users).find()
    assert found
    assert (found.label, found.bin, found.home) == (f"{users}/pulumi 3.240.0", None, None)


@pytest.mark.parametrize(
    ("version", "host", "why"),
    [
        ("v3.100.0", True, "is 3.100.0; wanted 3.232.0 or newer, and older than 4"),
        ("v4.1.0", True, "is 4.1.0; wanted"),
        ("nonsense", True, "is of an unknown version"),
        ("v3.240.0", False, "has no pulumi-language-python"),
    ],
)
def test_a_pulumi_on_path_that_cannot_be_used_is_left_alone_and_named(
    paths: Paths, tmp_path: Path, version: str, host: bool, why: str
):
    users = install(tmp_path / "users", version, host=host)
    official = install(paths.downloads / f"v{'.'.join(map(str, OLDEST))}")
    give_plugins(paths.pulumi_home, official)
    give_plugins(tmp_path / "users-home")
    seek = finder(paths, users)
    assert why in seek.on_path()[1]
    found = seek.find()
    assert found
    assert (found.bin, found.home) == (official, paths.pulumi_home)


def test_an_official_release_comes_before_one_that_was_built(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    built = install(tmp_path / "built")
    monkeypatch.setattr(engine, "built_programs", lambda _: built)
    give_plugins(paths.pulumi_home, built)
    found = finder(paths).find()
    assert found
    assert (found.bin, found.offline) == (built, True)
    official = install(paths.downloads / f"v{'.'.join(map(str, OLDEST))}")
    (paths.pulumi_home / "plugins" / "made-for").write_text(str(official))
    found = finder(paths).find()
    assert found
    assert (found.bin, found.offline) == (official, False)


def test_an_engine_whose_plugins_were_made_for_another_is_not_complete(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    built = install(tmp_path / "built")
    monkeypatch.setattr(engine, "built_programs", lambda _: built)
    give_plugins(paths.pulumi_home, tmp_path / "an-older-build")
    assert finder(paths).find() is None


def test_our_own_engine_is_not_taken_for_the_users_after_eval_of_the_exports(paths: Paths):
    own = install(paths.cache / "engine" / "bin")
    give_plugins(paths.pulumi_home)
    seek = finder(paths, own, PULUMI_HOME=str(paths.pulumi_home))
    assert seek.on_path() == (None, "no pulumi on PATH")
    assert seek.find() is None
