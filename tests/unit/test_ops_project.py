import os
import sys
import tomllib
from pathlib import Path

import pytest

from opencode_cloud.ops import project
from opencode_cloud.ops.errors import OperationError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package, with a program of three files; gives where its copy is made."""
    carried = tmp_path / "site-packages" / "opencode_cloud" / "project"
    for name, text in {"Pulumi.yaml": "one", "stacks/local.py": "two", "docker/run": "#!"}.items():
        (carried / name).parent.mkdir(parents=True, exist_ok=True)
        (carried / name).write_text(text)
    (carried / "docker" / "run").chmod(0o755)
    (carried / "stacks" / "__pycache__").mkdir()
    (carried / "stacks" / "__pycache__" / "local.pyc").write_text("")
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").touch()
    monkeypatch.setattr(project, "CARRIED", carried)
    monkeypatch.setattr(sys, "prefix", str(environment))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path / "share" / "opencode-cloud" / "project"


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".venv" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_a_checkout_is_its_own_program(root: Path):
    assert not project.is_installed()
    assert project.root() == project.folder() == root
    assert project.setup_command("second") == "./start --stack second"


def test_where_it_is_can_be_asked_without_making_it(installed: Path):
    assert project.folder() == installed
    assert not installed.exists()
    assert project.setup_command("second") == "occ --host second setup"


def test_an_installed_program_is_copied_out_with_its_modes(installed: Path):
    assert project.root() == installed
    assert {"Pulumi.yaml", "stacks/local.py", "docker/run"} < content(installed).keys()
    assert not any("pycache" in name for name in content(installed))
    assert os.access(installed / "docker" / "run", os.X_OK)
    assert (installed / ".venv").readlink() == Path(sys.prefix)


def test_another_version_renews_the_program_and_keeps_the_users_stacks(installed: Path):
    project.root()
    (installed / "stacks" / "Pulumi.mine.yaml").write_text("config: {}\n")
    (installed / "stacks" / "gone.py").write_text("of an older version")
    (project.CARRIED / "Pulumi.yaml").write_text("newer")
    os.utime(project.CARRIED, (1, 1))
    project.root()
    now = content(installed)
    assert now["Pulumi.yaml"] == "newer"
    assert now["stacks/Pulumi.mine.yaml"] == "config: {}\n"
    assert "stacks/gone.py" not in now


def test_the_same_version_is_not_copied_again(installed: Path):
    project.root()
    (installed / "Pulumi.yaml").write_text("touched")
    project.root()
    assert (installed / "Pulumi.yaml").read_text() == "touched"


def test_half_a_copy_is_made_whole(installed: Path):
    project.root()
    (installed / ".made-from").unlink()
    (installed / "Pulumi.yaml").unlink()
    project.root()
    assert (installed / "Pulumi.yaml").read_text() == "one"


def test_another_environment_is_pointed_at(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project.root()
    moved = tmp_path / "moved"
    (moved / "bin").mkdir(parents=True)
    (moved / "bin" / "python").touch()
    monkeypatch.setattr(sys, "prefix", str(moved))
    project.root()
    assert (installed / ".venv").readlink() == moved


def test_the_systems_own_python_is_refused_with_a_way_out(
    installed: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    with pytest.raises(OperationError, match="pipx install opencode-cloud"):
        project.root()
    assert not installed.exists()


def test_the_wheel_carries_the_program_and_nobodys_settings(root: Path):
    described = tomllib.loads((root / "pyproject.toml").read_text())
    carried = described["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert all((root / source).exists() for source in carried)
    assert all(target == f"opencode_cloud/project/{source}" for source, target in carried.items())
    # A folder would take the stacks of whoever builds it along.
    assert "stacks" not in carried
    assert {f"stacks/{path.name}" for path in (root / "stacks").glob("*.py")} <= carried.keys()
    assert not any(source.startswith("tests") for source in carried)
