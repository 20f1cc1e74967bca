"""In which order things are done, and what is undone when one of them fails."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.ops import replacement, update_data
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.errors import NoDeploymentError, OperationError
from opencode_cloud.ops.health import Health
from opencode_cloud.ops.points import Stage
from opencode_cloud.ops.program import Program
from opencode_cloud.ops.replacement import Replacement, Wish
from opencode_cloud.start.paths import Paths
from tests.unit.cli_parts import FakeEngine, container
from tests.unit.start_parts import Notes

OLD, NEW = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32
BEFORE = "config:\n  opencode:image_source: build\n  env:GREETING: hello\n"
KEPT = "opencode-cloud:local-kept-aaaaaaaaaaaa"


class World:
    """A stack without Docker and Pulumi: what was done to it, in order."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(root=folder, data=folder / "data", cache=folder / "cache")
        (folder / "stacks").mkdir()
        self.file.write_text(BEFORE)
        self.did: list[str] = []
        self.there: dict[str, Any] | None = container() | {"Id": "old", "Image": OLD}
        self.fails: dict[str, BaseException] = {}
        self.answers = "1.18.34"
        self.healthy = True

    @property
    def file(self) -> Path:
        return self.paths.stack_file("local")

    def do(self, what: str) -> None:
        self.did.append(what)
        if error := self.fails.pop(what, None):
            raise error

    def find(self, *_: Any) -> Deployment:
        if self.there is None:
            raise NoDeploymentError("gone")
        return Deployment("local", WorldEngine(self), self.there)

    def up(self, *_: Any, **__: Any) -> int:
        kept = "kept_image" in self.file.read_text()
        self.there = container() | {"Id": "old" if kept else "new", "Image": OLD if kept else NEW}
        if kept:
            self.answers = "1.18.33"
        self.do("up")
        return 1


class WorldEngine(FakeEngine):
    """The engine of a world."""

    def __init__(self, world: World) -> None:
        super().__init__({})
        object.__setattr__(self, "world", world)

    world: World

    def get(self, path: str, **_: Any) -> Any:
        return self.world.there if path.startswith("/containers/") else []

    def post(self, path: str, *_: Any, **__: Any) -> Any:
        self.world.do(path.rpartition("/")[2])

    def delete(self, *_: Any, **__: Any) -> None:
        self.world.do("remove")
        self.world.there = None


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)

    def does(what: str) -> Callable[..., None]:
        return lambda *_, **__: made.do(what)

    def restore(_: update_data.Data, path: Path, volumes: Any) -> None:
        made.do(f"restore {len(volumes)} of {path.name.partition('T')[0][:2]}")

    monkeypatch.setattr(replacement, "find", made.find)
    monkeypatch.setattr(replacement.lifecycle, "stop", does("stop"))
    monkeypatch.setattr(replacement.lifecycle, "start", does("start"))
    monkeypatch.setattr(replacement.lifecycle, "wait_healthy", does("healthy"))
    monkeypatch.setattr(
        replacement.health, "ask", lambda _: Health(made.healthy, version=made.answers)
    )
    monkeypatch.setattr(update_data.Data, "save", does("save"))
    monkeypatch.setattr(update_data.Data, "restore", restore)
    monkeypatch.setattr(Program, "up", made.up)
    monkeypatch.setattr("opencode_cloud.ops.new_container.find", made.find)
    return made


def replacing(world: World) -> Replacement:
    return Replacement(Program(world.paths, "local"), WorldEngine(world), Notes())


def wish(world: World, **more: Any) -> Wish:
    after = replacing(world).file.read().with_value("memory_mb", "4096")
    asked = {"reason": "update", "again": ("update",), "image": NEW, "opencode": "1.18.34"}
    return Wish(**{**asked, "after": after, **more})


def test_the_data_are_saved_when_nobody_writes_any_more_and_before_anything_is_new(world: World):
    done = replacing(world).make(world.find(), wish(world))
    assert world.did == ["tag", "stop", "save", "up", "healthy"]
    assert "memory_mb" in world.file.read_text()
    assert done.point.settings == BEFORE
    assert replacing(world).points.find("").stage is Stage.DONE


def test_data_of_then_come_before_the_image_of_then(world: World):
    asked = wish(world, restore_from="/backup/of-then.tar")
    replacing(world).make(world.find(), asked)
    assert world.did == ["tag", "stop", "save", "remove", "restore 3 of of", "up", "healthy"]


@pytest.mark.parametrize("step", ["stop", "save"])
@pytest.mark.parametrize("error", [OperationError("no space"), KeyboardInterrupt()])
def test_what_fails_before_anything_is_new_needs_a_start_alone(
    world: World, step: str, error: BaseException
):
    world.fails[step] = error
    with pytest.raises((OperationError, KeyboardInterrupt)) as caught:
        replacing(world).make(world.find(), wish(world))
    assert world.did[-1] == "start"
    assert not {"up", "remove"} & set(world.did)
    assert world.file.read_text() == BEFORE
    assert "All is as it was" in str(caught.value)
    assert "To try again: occ update" in str(caught.value)
    assert replacing(world).points.all() == []


@pytest.mark.parametrize("step", ["up", "healthy"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [(OperationError("broken"), OperationError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_what_fails_later_has_image_data_and_settings_put_back(
    world: World, step: str, error: BaseException, kind: type[BaseException]
):
    world.fails[step] = error
    with pytest.raises(kind) as caught:
        replacing(world).make(world.find(), wish(world))
    first = world.did.index(step) + 1
    assert world.did[first:] == ["remove", "restore 5 of 20", "up", "healthy"]
    # The wish's other setting goes with it, or stays: only what decides the image is put back.
    assert world.file.read_text().endswith(f"  opencode:kept_image: {KEPT}\n")
    assert "env:GREETING: hello" in world.file.read_text()
    assert "opencode 1.18.33 answers at" in str(caught.value)


def test_another_version_than_the_one_asked_for_is_a_failure(world: World):
    world.answers = "1.18.30"
    with pytest.raises(OperationError, match=r"opencode 1\.18\.30 answers, and not 1\.18\.34"):
        replacing(world).make(world.find(), wish(world))
    assert world.did[-1] == "healthy"
    assert world.there
    assert world.there["Image"] == OLD


def test_what_was_unhealthy_before_is_so_again_and_in_nobodys_way(world: World):
    world.healthy = False
    world.fails["save"] = OperationError("no space")
    world.fails["start"] = OperationError("it is not healthy")
    with pytest.raises(OperationError, match="as unhealthy as it was"):
        replacing(world).make(world.find(), wish(world))
    assert replacing(world).points.all() == []


def test_a_deployment_that_was_stopped_is_stopped_again(world: World):
    world.there = container(state={"Running": False, "Status": "exited"}) | {"Id": "old"}
    done = replacing(world).make(world.find(), wish(world))
    assert world.did[-1] == "stop"
    assert done.away_seconds == 0


def test_when_putting_back_fails_too_people_learn_where_their_data_is(world: World):
    world.fails["up"] = OperationError("broken")
    world.fails["restore 5 of 20"] = OperationError("the disk is full")
    with pytest.raises(OperationError) as caught:
        replacing(world).make(world.find(), wish(world))
    point = replacing(world).points.find("")
    assert f"The data of before is in {point.backup}" in str(caught.value)
    assert "the disk is full" in str(caught.value)
    assert "occ update --rollback" in str(caught.value)
    # What was left is put in order by whoever comes next.
    world.did.clear()
    replacing(world).recover()
    assert world.did == ["save", "restore 5 of 20", "up", "healthy"]
    assert replacing(world).points.all() == []


def test_what_was_killed_and_serves_all_the_same_is_left_to_those_who_work_with_it(world: World):
    world.fails["healthy"] = SystemExit()
    with pytest.raises(SystemExit):
        replacing(world).make(world.find(), wish(world))
    assert not replacing(world).points.find("").is_done
    world.did.clear()
    replacing(world).recover()
    assert world.did == []
    assert replacing(world).points.find("").is_done


def test_what_was_killed_and_does_not_serve_is_put_back_and_nothing_is_lost(world: World):
    world.fails["up"] = SystemExit()
    with pytest.raises(SystemExit):
        replacing(world).make(world.find(), wish(world))
    world.did.clear()
    world.healthy = False
    replacing(world).recover()
    # What may have been written since is kept in a file of its own.
    assert world.did == ["remove", "save", "restore 5 of 20", "up", "healthy"]


def test_nobody_stops_what_puts_things_in_order(world: World, monkeypatch: pytest.MonkeyPatch):
    seen = []
    # Whoever started the tests in the background had it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def look(*_: Any, **__: Any) -> None:
        seen.extend(signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM))
        world.do("restore")

    world.fails["healthy"] = KeyboardInterrupt()
    monkeypatch.setattr(update_data.Data, "restore", look)
    with pytest.raises(KeyboardInterrupt):
        replacing(world).make(world.find(), wish(world))
    assert seen == [signal.SIG_IGN, signal.SIG_IGN]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
