"""Variables and secrets, as the program asks the engine for them."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from opencode_cloud.spec.container import SECRETS_FOLDER
from tests.program.recorder import Recorder
from tests.program.test_local import CONTAINER, LOCAL

SECRET_MARK = "4dabf18193072939515e22adb298388d"
"""How the engine is told that a value is secret."""
SET = {"env:TZ": "UTC", "secret:KEY": "planted", "env:ODD": "a\nb=$c"}


@pytest.fixture
def given(root: Path) -> Recorder:
    return Recorder().run(root, "local", LOCAL | SET, ["secret:KEY"])


def plain(value: Any) -> str:
    return json.dumps(value, default=str)


def test_a_secret_is_a_file_for_root_whose_content_the_engine_knows_to_be_secret(given: Recorder):
    sent = given.sent[CONTAINER]
    [raw] = sent.object["uploads"]
    assert raw["file"] == f"{SECRETS_FOLDER}/KEY"
    assert raw["permissions"] == "0600"
    assert raw["content"][SECRET_MARK] == "1b47061264138c4ac30d75fd1eb44270"
    assert raw["content"]["value"] == "planted"
    assert list(sent.additionalSecretOutputs) == ["uploads"]


def test_a_secret_is_in_no_other_input_of_any_resource(given: Recorder):
    for key, sent in given.sent.items():
        inputs = dict(sent.object.items())
        if key == CONTAINER:
            del inputs["uploads"]
        assert "planted" not in str(inputs), key


def test_a_variable_reaches_nothing_by_its_own_name_but_opencode(given: Recorder):
    envs = given.inputs(*CONTAINER)["envs"]
    assert "OPENCODE_CLOUD_ENV_TZ=UTC" in envs
    assert "OPENCODE_CLOUD_ENV_ODD=a\nb=$c" in envs
    assert not [env for env in envs if not env.startswith("OPENCODE_CLOUD_")]


def test_without_any_nothing_is_uploaded(root: Path):
    assert "uploads" not in Recorder().run(root, "local", LOCAL).inputs(*CONTAINER)


def test_the_moment_that_a_secret_was_set_is_not_part_of_it(root: Path):
    whole = json.dumps({"set": "2026-01-31T10:00:00Z", "value": "x"})
    recorder = Recorder().run(root, "local", LOCAL | {"secret:A": whole}, ["secret:A"])
    [raw] = recorder.sent[CONTAINER].object["uploads"]
    assert raw["content"]["value"] == "x"


def test_what_is_not_encrypted_stops_the_program_before_anything_is_registered(root: Path):
    recorder = Recorder()
    with pytest.raises(pulumi.RunError, match="occ secret set KEY") as caught:
        recorder.run(root, "local", LOCAL | SET)
    assert "planted" not in str(caught.value)
    assert not [kind for kind, _ in recorder.sent if kind.startswith(("docker:", "opencode:"))]
