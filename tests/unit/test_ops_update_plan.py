from dataclasses import replace
from pathlib import Path

import pytest

from opencode_cloud.configuration import SettingsError, load
from opencode_cloud.ops import update_plan
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.points import Point, Stage
from opencode_cloud.ops.releases import Release
from opencode_cloud.ops.stack_document import Document
from opencode_cloud.ops.update_plan import Target
from opencode_cloud.settings import Settings

HASH = "sha512-" + "a" * 86 + "=="
DIGEST = "registry.example.org/opencode-cloud@sha256:" + "c" * 64
KEPT = "opencode-cloud:local-kept-0123456789ab"
NEW = Release("1.18.34", f"x64:{HASH}")

BUILT = """\
# mine
config:
  opencode:image_source: build # here
  opencode:port: "8080"
  env:GREETING: hello
  secret:KEY:
    secure: v1:abc=
  opencode:mounts: /srv/x:/workspace/x
"""
PULLED = f"config:\n  opencode:prebuilt_image: {DIGEST}\n"


def built() -> Settings:
    return load({"image_source": "build"}, "local")


def pulled() -> Settings:
    return load({"prebuilt_image": DIGEST}, "local")


def document(text: str = BUILT) -> Document:
    return Document("stacks/Pulumi.local.yaml", text)


def point(settings: str = BUILT) -> Point:
    return Point(
        name="20260131T101500Z",
        stack="local",
        stage=Stage.DONE,
        reason="update",
        opencode="1.18.33",
        opencode_after="1.18.34",
        program="0.1.0",
        container="c0ffee",
        image="sha256:" + "01" * 32,
        image_after="sha256:" + "02" * 32,
        kept_as=KEPT,
        settings=settings,
        backup="/backup.tar",
        was_running=True,
        was_healthy=True,
    )


@pytest.mark.parametrize("to", ["1.18.34", "latest", "1.0.0"])
def test_a_built_image_goes_to_a_version_of_its_major(to: str):
    assert update_plan.target(to, built()) == Target(version=to)


def test_a_prebuilt_image_goes_to_a_digest():
    assert update_plan.target(DIGEST, pulled()) == Target(digest=DIGEST)


def test_without_a_word_it_goes_where_settings_and_checkout_lead():
    assert update_plan.target("", built()) == update_plan.target("", pulled()) == Target()


@pytest.mark.parametrize(
    ("to", "settings", "said"),
    [
        ("2.0.0", built(), "another major than this image runs, which is 1.x"),
        ("1.18", built(), "not a version"),
        ("1.18.34-beta", built(), "not a version"),
        ("debian:13", built(), "not a version"),
        (DIGEST, built(), "is a prebuilt image, and this stack builds its own"),
        ("1.18.34", pulled(), "no feed of releases yet"),
        ("latest", pulled(), "REPOSITORY@sha256:DIGEST"),
        ("registry.example.org/x:1", pulled(), "REPOSITORY@sha256:DIGEST"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_can(to: str, settings: Settings, said: str):
    with pytest.raises(OperationError, match=said):
        update_plan.target(to, settings)


def test_a_version_is_written_with_what_it_is_known_by():
    after = update_plan.updated(document(), Target(version="1.18.34"), NEW, "1.18.33")
    settings = load(after.values, "local")
    assert (settings.opencode_version, settings.opencode_integrity) == (NEW.version, NEW.integrity)
    assert after.text.startswith(BUILT)


def test_the_checkouts_own_version_needs_no_setting():
    there = update_plan.updated(document(), Target(version="1.18.34"), NEW, "1.18.33")
    again = update_plan.updated(there, Target(version="1.18.33"), Release("1.18.33", ""), "1.18.33")
    assert again.text == BUILT


def test_a_version_that_was_chosen_stays_when_nothing_is_asked_for():
    there = update_plan.updated(document(), Target(version="1.18.34"), NEW, "1.18.33")
    assert update_plan.updated(there, Target(), None, "1.18.40").text == there.text


def test_an_update_leaves_a_kept_image():
    kept = document().with_value("kept_image", KEPT)
    assert update_plan.updated(kept, Target(), None, "1.18.33").text == BUILT


def test_a_prebuilt_image_is_another_digest():
    other = DIGEST.replace("c" * 64, "d" * 64)
    after = update_plan.updated(document(PULLED), Target(digest=other), None, "")
    assert after.values == {"prebuilt_image": other}


def test_going_back_changes_the_image_and_nothing_else():
    now = update_plan.updated(document(), Target(version="1.18.34"), NEW, "1.18.33")
    now = now.with_value("port", "9090").with_value("memory_mb", "4096")
    back = update_plan.gone_back(now, point(), to_kept=True)
    assert back.text == BUILT.replace("8080", "9090") + (
        f'  opencode:memory_mb: "4096"\n  opencode:kept_image: {KEPT}\n'
    )


def test_going_back_at_once_gives_the_very_text_of_before():
    now = update_plan.updated(document(), Target(version="1.18.34"), NEW, "1.18.33")
    assert update_plan.gone_back(now, point(), to_kept=False).text == BUILT


def test_a_pulled_image_needs_not_be_kept():
    other = DIGEST.replace("c" * 64, "d" * 64)
    now = update_plan.updated(document(PULLED), Target(digest=other), None, "")
    assert update_plan.gone_back(now, point(PULLED), to_kept=True).text == PULLED


def test_going_back_to_a_version_that_was_chosen_chooses_it_again():
    then = update_plan.updated(document(), Target(version="1.18.34"), NEW, "1.18.33")
    back = update_plan.gone_back(document(), replace(point(), settings=then.text), to_kept=False)
    assert back.values == then.values


def test_the_checkout_says_which_version_it_pins(root: Path):
    assert load(
        {
            "image_source": "build",
            "opencode_version": update_plan.pinned(root),
            "opencode_integrity": f"x64:{HASH}",
        },
        "local",
    ).opencode_version
    assert update_plan.pinned(root / "nowhere") == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"opencode_version": "2.0.0"}, "another major version than the one that this image runs"),
        ({"opencode_version": "1.18"}, "is not a version"),
        ({"opencode_version": "1.18.34"}, "occ update --to 1.18.34 looks it up"),
        ({"opencode_integrity": f"x64:{HASH}"}, "there is none"),
        ({"opencode_version": "1.18.34", "opencode_integrity": HASH}, "is not a list of MACHINE"),
        (
            {"opencode_version": "1.18.34", "opencode_integrity": f"x64:{HASH},mips:{HASH}"},
            "is not a list of MACHINE",
        ),
        ({"kept_image": "debian:13"}, "not the name of an image that `occ update` kept"),
    ],
)
def test_settings_that_would_leave_the_build_unpinned_are_refused(
    settings: dict[str, str], said: str
):
    with pytest.raises(SettingsError, match=said):
        load({"image_source": "build"} | settings, "local")


def test_the_image_knows_the_major_version_that_is_offered(root: Path):
    rows = (root / "docker/rootfs/usr/lib/opencode-cloud/majors").read_text().splitlines()
    tested = [line for line in rows if line.startswith("# 1: run and tested")]
    assert tested
    assert any(line.split()[:1] == ["1"] for line in rows)
