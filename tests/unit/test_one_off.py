"""Settings for one time alone."""

import stat
from pathlib import Path

import pytest
import yaml

from opencode_cloud.configuration import SettingsError
from opencode_cloud.ops.one_off import config_with
from opencode_cloud.ops.program import Program
from opencode_cloud.start.paths import Paths

TEXT = """\
encryptionsalt: v1:salt=:v1:more==
config:
  opencode:image_source: build  # until there is a release
  opencode:mounts: /a:/workspace/a
  secret:KEY:
    secure: v1:cipher
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(Paths(tmp_path, tmp_path / "data", tmp_path / "cache"), "local")
    made.file.parent.mkdir()
    made.file.write_text(TEXT)
    return made


def test_the_copy_has_the_other_values_and_all_else_and_is_gone_afterwards(program: Program):
    wanted = {"mounts": "/a:/workspace/a,/b:/workspace/b:ro", "port": "8080"}
    with config_with(program, wanted) as file:
        assert file.name == "Pulumi.local.yaml"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        read = yaml.safe_load(file.read_text())
        assert read["encryptionsalt"] == "v1:salt=:v1:more=="
        assert read["config"]["secret:KEY"] == {"secure": "v1:cipher"}
        assert read["config"]["opencode:mounts"] == wanted["mounts"]
        assert read["config"]["opencode:port"] == "8080"
    assert not file.parent.exists()
    assert program.file.read_text() == TEXT


def test_it_is_gone_when_what_used_it_failed(program: Program):
    with pytest.raises(KeyboardInterrupt), config_with(program, {"port": "8080"}) as file:
        raise KeyboardInterrupt
    assert not file.parent.exists()


def test_a_value_that_cannot_be_used_makes_no_copy(program: Program):
    with (
        pytest.raises(SettingsError, match="opencode:mounts"),
        config_with(program, {"mounts": "/a"}),
    ):
        pytest.fail("it was made")
