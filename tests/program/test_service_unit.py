"""The service unit in the program: which resources there are, and in which order they go."""

import json
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from opencode_cloud.configuration import load
from opencode_cloud.spec.service_unit.host import commands_by
from opencode_cloud.spec.service_unit.spec import service_unit_spec
from tests.mac import a_mac
from tests.program.recorder import Recorder

UNIT = ("command:local:Command", "opencode-unit")
CONTAINER = ("docker:index/container:Container", "opencode-container")
CONFIG = {"opencode:image_source": "build", "opencode:service_unit": "true"}


@pytest.fixture
def mac(tmp_path: Path) -> Iterator[Path]:
    with a_mac(tmp_path):
        yield tmp_path


@pytest.fixture
def unit(root: Path, mac: Path) -> Recorder:
    assert mac
    config = CONFIG | {"secret:API_KEY": "sesame"}
    return Recorder().run(root, "local", config, encrypted=["secret:API_KEY"])


def test_the_identities_of_a_stack_with_a_unit_are_kept(unit: Recorder):
    golden = json.loads((Path(__file__).parent / "golden/service_unit.json").read_text())
    assert unit.urns() == golden


def test_docker_does_not_restart_what_a_unit_does(unit: Recorder):
    assert unit.inputs(*CONTAINER)["restart"] == "no"


def test_the_unit_goes_before_its_container_and_comes_after_it(unit: Recorder):
    resource = unit.sent[UNIT]
    assert resource.deleteBeforeReplace
    assert resource.parent.endswith("opencode:index:ServiceUnit::opencode")
    inputs = unit.inputs(*UNIT)
    assert inputs["triggers"] == ["opencode-container-id", "user"]
    assert (inputs["create"], inputs["update"]) == ("sh -s install", "sh -s install")
    assert inputs["delete"] == "sh -s remove"


def test_neither_a_secret_nor_a_variable_of_opencodes_is_in_the_unit(unit: Recorder):
    assert "sesame" not in json.dumps(unit.inputs(*UNIT))
    assert "API_KEY" not in json.dumps(unit.inputs(*UNIT))


def test_a_host_that_cannot_have_the_unit_refuses_it_before_anything_is_registered(
    root: Path, mac: Path
):
    (mac / "signed-out").touch()
    recorder = Recorder()
    with pytest.raises(pulumi.RunError, match="An agent runs while"):
        recorder.run(root, "local", CONFIG)
    assert CONTAINER not in recorder.sent
    assert not [kind for kind, _ in recorder.sent if kind.startswith("docker:")]


def test_over_ssh_the_hosts_shell_reads_the_script():
    spec = service_unit_spec(load({"image_source": "build", "service_unit": "true"}, "a"), "a")
    assert spec
    commands = commands_by(spec, lambda *words: ("ssh", "box", " ".join(words)))
    assert commands.install == "ssh box 'sh -s install'"
    assert commands.remove == "ssh box 'sh -s remove'"
    assert "opencode-cloud-service-a" in commands.stdin
