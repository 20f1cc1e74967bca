import json
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.start.errors import StartError
from opencode_cloud.start.steps.base_image import LOCAL_BASE
from opencode_cloud.start.steps.image import Anew, Image
from tests.unit.start_parts import Notes, context, runner_of

PINNED = "debian:trixie-slim@sha256:" + "ab" * 32


def image(folder: Path, base: str | None = None, *, kept: bool = False) -> Image:
    """An image whose recipe is known; ``base``: it is built, on that."""
    step = Image(context(folder))
    recipe: dict[str, Any] = {"reference": "some/image", "kept": kept}
    if base is not None:
        recipe |= {"context": "docker", "build_args": {"BASE_IMAGE": base} if base else {}}
    step._recipe = recipe
    return step


def built_by(step: Image, anew: Anew) -> dict[str, Any]:
    assert step.again(anew, Notes()) == "some/image"
    asked = runner_of(step.context).stdin[0]
    return json.loads(asked or "")


@pytest.mark.parametrize(
    ("anew", "base", "without_cache", "base_again"),
    [
        (Anew.CACHED, "", False, False),
        (Anew.FULL, "", True, True),
        (Anew.FULL, PINNED, True, True),
        # No registry has it.
        (Anew.FULL, LOCAL_BASE, True, False),
    ],
)
def test_a_rebuild_takes_from_cache_and_registry_what_was_asked_for(
    tmp_path: Path, anew: Anew, base: str, *, without_cache: bool, base_again: bool
):
    asked = built_by(image(tmp_path, base), anew)
    assert (asked["without_cache"], asked["base_again"]) == (without_cache, base_again)


def test_a_pull_is_done_whether_the_image_is_there_or_not(tmp_path: Path):
    step = image(tmp_path)
    step.again(Anew.PULL, Notes())
    assert runner_of(step.context).ran == [("docker", "pull", "some/image")]


@pytest.mark.parametrize(
    ("base", "kept", "anew", "words"),
    [
        ("", False, Anew.PULL, "--cached-rebuild-sandbox-image"),
        (None, False, Anew.FULL, "--pull-sandbox-image"),
        (None, False, Anew.CACHED, "image_source build"),
        (None, True, Anew.PULL, "`occ update` takes a new one"),
    ],
)
def test_what_cannot_be_got_in_that_way_names_the_way_that_can(
    tmp_path: Path, base: str | None, anew: Anew, words: str, *, kept: bool
):
    step = image(tmp_path, base, kept=kept)
    with pytest.raises(StartError, match=words):
        step.again(anew, Notes())
    assert runner_of(step.context).ran == []
