import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.ops import new_container
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.points import Point, Points, Stage, kept_name
from opencode_cloud.start.paths import Paths
from tests.unit.cli_parts import FakeEngine, container

IMAGES = {letter: "sha256:" + letter * 64 for letter in "abcd"}


def point(day: int, letter: str = "a", stage: Stage = Stage.DONE) -> Point:
    return Point(
        name=f"202601{day:02}T101500Z",
        stack="local",
        stage=stage,
        reason="update",
        opencode="1.18.33",
        opencode_after="1.18.34",
        program="0.1.0",
        container="c0ffee",
        image=IMAGES[letter],
        image_after=IMAGES["d"],
        kept_as=kept_name("local", IMAGES[letter]),
        settings="config: {}\n",
        backup=f"/backups/{day}.tar",
        was_running=True,
        was_healthy=True,
    )


class Images(FakeEngine):
    """Knows images by their tags."""

    def __init__(self, *tags: str) -> None:
        super().__init__({})
        object.__setattr__(self, "tags", set(tags))

    tags: set[str]

    def get(self, path: str, **_: Any) -> Any:
        if path == "/images/json":
            return [{"RepoTags": sorted(self.tags)}, {"RepoTags": None}]
        if path.removeprefix("/images/").removesuffix("/json") in self.tags:
            return {}
        raise EngineError("no such image", 404)

    def post(self, *_: Any, **more: Any) -> Any:
        self.tags.add(f"{more['query']['repo']}:{more['query']['tag']}")

    def delete(self, path: str, **_: Any) -> None:
        self.tags.remove(path.removeprefix("/images/"))


@pytest.fixture
def engine() -> Images:
    return Images()


@pytest.fixture
def points(tmp_path: Path, engine: Images) -> Points:
    return Points(Paths(root=tmp_path, data=tmp_path, cache=tmp_path), "local", engine)


def keep(points: Points, made: Point) -> Point:
    made = replace(made, backup=str(points.backup_of(made.name)))
    points.keep(made)
    Path(made.backup).write_text("data")
    return made


def test_a_point_is_read_as_it_was_written_and_by_nobody_else(points: Points):
    made = keep(points, point(1))
    assert points.all() == [made]
    record = points.folder / f"{made.name}.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert stat.S_IMODE(points.folder.stat().st_mode) == 0o700
    assert points.has_image(made)


def test_the_newest_is_the_one_that_is_meant(points: Points):
    old, new = keep(points, point(1)), keep(points, point(2))
    assert points.find("") == new
    assert points.find(old.name) == old
    with pytest.raises(OperationError, match=f"There is {new.name}, {old.name}"):
        points.find("20250101T000000Z")


def test_nothing_to_go_back_to_is_said(points: Points):
    with pytest.raises(OperationError, match="nothing to go back to"):
        points.find("")


def test_how_far_a_change_came_is_known_after_a_crash(points: Points):
    made = keep(points, point(1, stage=Stage.BEGUN))
    points.at_stage(made, Stage.REPLACING)
    assert not points.find("").is_done
    (points.folder / ".20260102T101500Z.new").write_text("half")
    (points.folder / "20260103T101500Z.json").write_text("half")
    assert points.find("").stage is Stage.REPLACING


def test_what_is_forgotten_leaves_nothing_and_takes_nothing_of_others(
    points: Points, engine: Images
):
    first, second, third = (
        keep(points, point(day, letter)) for day, letter in ((1, "a"), (2, "b"), (3, "a"))
    )
    others = {"opencode-cloud:local-0123456789ab", "opencode-cloud:other-kept-aaaaaaaaaaaa"}
    nobodys = "opencode-cloud:local-kept-cccccccccccc"
    engine.tags.update(others | {nobodys})
    points.forget([first], in_use="")
    # The third one needs the same image.
    assert engine.tags == others | {first.kept_as, second.kept_as}
    assert not Path(first.backup).exists()
    points.forget([third, second], in_use=second.kept_as)
    assert engine.tags == others | {second.kept_as}
    assert list(points.folder.iterdir()) == []


def test_a_summary_has_no_settings(points: Points):
    assert "config" not in str(point(1).summary)


ENDED = "opencode     | ended with exit code 1"


@pytest.mark.parametrize(
    ("facts", "lines", "hopeless"),
    [
        (container(), [ENDED] * 5, True),
        (container(), ["opencode     | ended by signal 9"] * 6, True),
        (container(), [ENDED] * 4 + ["gateway      | ended with exit code 1"] * 9, False),
        (container(), ["opencode     | says: ended with exit code 1"] * 9, False),
        (container(state={"Health": {"Status": "healthy"}}), [ENDED] * 9, False),
        (container(state={"Health": {"Status": "starting"}}), [ENDED] * 9, True),
        (container() | {"RestartCount": 5}, [], True),
        (container() | {"RestartCount": 1}, [], False),
    ],
)
def test_a_container_that_never_will_answer_is_told_from_a_slow_one(
    facts: dict[str, Any], lines: list[str], hopeless: bool
):
    assert bool(new_container.verdict(facts, lines)) is hopeless
