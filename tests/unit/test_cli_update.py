from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from opencode_cloud.cli import status_rows
from opencode_cloud.cli import update as cli
from opencode_cloud.cli.options import Options
from opencode_cloud.json_schemas import schema
from opencode_cloud.ops.drift import Difference, Drift
from opencode_cloud.ops.status import Status
from opencode_cloud.ops.update import Check, Updated
from tests.unit.cli_parts import occ
from tests.unit.test_ops_points import point

CHECK = Check(
    stack="local",
    image_source="build",
    opencode="1.18.33",
    newest="1.18.34",
    checkout="1.18.33",
    image_changed=False,
    update=True,
    commands=["occ update --to 1.18.34"],
)
UPDATED = Updated(
    stack="local",
    changed=True,
    opencode_before="1.18.33",
    opencode="1.18.34",
    url="http://127.0.0.1:4096",
    away_seconds=12.3,
    point="20260131T101500Z",
    backup="/backup.tar",
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--check", "--rollback"), "--check and --rollback exclude one another"),
        (("--to", "latest", "--points"), "--to and --points exclude one another"),
        (("--keep-data",), "belong to --rollback"),
        (("--point", "x"), "belong to --rollback"),
    ],
)
def test_what_cannot_be_meant_together_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
):
    assert occ("update", *words) == 2
    assert said in capsys.readouterr().err


def test_a_check_says_what_runs_what_there_is_and_what_to_type():
    assert cli._what_there_is(CHECK).splitlines() == [
        "opencode 1.18.33 runs.",
        "The newest of its major version is 1.18.34.",
        "To update: occ update --to 1.18.34",
    ]


def test_a_check_without_anything_to_do_says_so():
    said = cli._what_there_is(replace(CHECK, newest="1.18.33", update=False, commands=[]))
    assert said.endswith("There is nothing to update.")


def test_a_changed_checkout_is_an_update_too():
    found = replace(CHECK, image_changed=True, commands=["occ update"])
    assert "make another image than the one that runs" in cli._what_there_is(found)


def test_a_prebuilt_image_has_nobody_to_ask():
    found = replace(CHECK, image_source="prebuilt", newest="", update=False, commands=[])
    assert "no feed of releases yet" in cli._what_there_is(found)


def test_an_update_says_how_long_nobody_was_answered_and_how_to_go_back():
    said = cli._what_was_done(Options(host="second"), UPDATED)
    assert "opencode 1.18.34 answers at http://127.0.0.1:4096 instead of 1.18.33" in said
    assert "away for 12 s" in said
    assert "To go back: occ --host second update --rollback" in said


def test_nothing_to_do_is_said():
    said = cli._what_was_done(Options(), replace(UPDATED, changed=False))
    assert said.endswith("nothing to update.")


def test_what_going_back_loses_is_said_in_so_many_words():
    lost = cli._what_is_lost(point(1), keep_data=False)
    assert "2026-01-01T10:15 UTC" in lost
    assert "Sessions, messages, keys" in lost
    kept = cli._what_is_lost(point(1), keep_data=True)
    assert "may not be able to read" in kept


def test_results_are_json_as_documented():
    for name, found in (
        ("update", UPDATED.__dict__),
        ("update-check", CHECK.__dict__),
        ("update-points", [point(1).summary.__dict__]),
    ):
        jsonschema.validate(found, schema(name))


def test_the_status_says_what_was_heard_of_and_that_an_image_is_for_update():
    drift = Drift(
        state="changed", differences=[Difference(name="image", settings="new", container="old")]
    )
    status = Status(
        stack="second", state="running", health="healthy", newer_opencode="1.18.34", drift=drift
    )
    said = status_rows.plain(status)
    assert "opencode 1.18.34 is there: occ --host second update --to 1.18.34" in said
    assert "changed since: image (to apply: occ --host second update)" in said


def test_the_page_names_every_option(root: Path):
    page = (root / "docs/updates.md").read_text()
    for option in ("--check", "--to", "--rollback", "--keep-data", "--points", "--point "):
        assert option in page
