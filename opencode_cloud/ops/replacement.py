"""One image of a deployment for another, with a backup between them.

What goes wrong on the way is put back here, and so is what a killed change left.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opencode_cloud.configuration import load
from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops import health, lifecycle, update_data, update_plan
from opencode_cloud.ops.deployment import Deployment, find, occ
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import NoDeploymentError, OperationError
from opencode_cloud.ops.new_container import GivingUp, last_lines, told
from opencode_cloud.ops.points import KEPT, Point, Points, Stage, kept_name
from opencode_cloud.ops.program import Program, Progress
from opencode_cloud.ops.settings_file import StackFile
from opencode_cloud.ops.stack_change import Change
from opencode_cloud.ops.stack_document import Document

HEALTHY_SECONDS = 120
"""A new version may have a database to bring up to date."""
VERSION_LABEL = "org.opencode-cloud.opencode-version"

_PROGRAM_LABEL = "org.opencode-cloud.version"
_LAST_LINES = "The last lines that matter"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One image for another, as it is to be."""

    reason: str
    """For people: update, or way back."""
    again: tuple[str, ...]
    """The command that tries it once more."""
    after: Document
    """The stack's file then."""
    image: str
    """Its SHA-256."""
    opencode: str
    """The version that must answer then; empty: whichever."""
    restore_from: str = ""
    """Backup whose data is to be there then; empty: today's stays."""


@dataclass(frozen=True)
class Replaced:
    """How it went."""

    deployment: Deployment
    point: Point
    away_seconds: float


@dataclass(frozen=True)
class Replacement:
    """Replaces the container of one stack."""

    program: Program
    engine: Engine
    progress: Progress

    @property
    def stack(self) -> str:
        """Its name."""
        return self.program.stack

    @property
    def file(self) -> StackFile:
        """Its settings."""
        return StackFile(self.program.paths.root, self.stack)

    @property
    def points(self) -> Points:
        """Where it can go back to."""
        return Points(self.program.paths, self.stack, self.engine)

    def make(self, old: Deployment, wish: Wish) -> Replaced:
        """Do it; the image that is wished for is on the Docker host already.

        Raises:
            OperationError: it was not done; says what it is now.
            KeyboardInterrupt: with words of the same kind.
        """
        point = self._point(old, wish)
        self.points.keep(point)
        began = time.monotonic()
        try:
            new = self._make(old, wish, point)
            took = time.monotonic() - began
            if not point.was_running:
                lifecycle.stop(new, self.progress.progress)
        except (Exception, KeyboardInterrupt) as error:
            said = self._after_failure(wish, point, error, began)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(said) from None
            raise OperationError(said) from None
        self.points.at_stage(point, Stage.DONE)
        self.points.forget(self.points.all()[KEPT:], load(wish.after.values, self.stack).kept_image)
        return Replaced(new.again(), point, took if point.was_running else 0)

    def recover(self) -> None:
        """Put back what a change left that was killed, if one was."""
        if unfinished := self.unfinished():
            self.progress.note(f"The {unfinished.reason} of {unfinished.name} was cut off.")
            self.put_back(unfinished, is_late=True)

    def unfinished(self) -> Point | None:
        """Give the point of a change that was killed, if one was.

        One that came to its end all the same is noted as such: people may have worked with it.
        """
        newest = next(iter(self.points.all()), None)
        if not newest or newest.is_done:
            return None
        there = self._container()
        if there and there.container != newest.container and _is_healthy(there):
            self.points.at_stage(newest, Stage.DONE)
            return None
        return newest

    def put_back(self, point: Point, *, is_late: bool = False) -> None:
        """Make settings, image and data what they were; cut off and done again, it ends alike.

        Args:
            point: what they were.
            is_late: whether somebody may have worked since then: that is saved first.
        """
        self.progress.note("Putting back what there was before. This cannot be interrupted.")
        with _undisturbed():
            # As it is on the disk: how far the change came.
            self._put_back(self.points.find(point.name), is_late=is_late)

    # --- there ----------------------------------------------------------------

    def _point(self, old: Deployment, wish: Wish) -> Point:
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        image, state = old.facts["Image"], old.facts["State"]
        return Point(
            name=name,
            stack=self.stack,
            stage=Stage.BEGUN,
            reason=wish.reason,
            opencode=version(old),
            opencode_after=wish.opencode,
            program=old.labels.get(_PROGRAM_LABEL, ""),
            container=old.container,
            image=image,
            image_after=wish.image,
            kept_as=kept_name(self.stack, image),
            settings=self.file.read().text,
            backup=str(self.points.backup_of(name)),
            # Also when it ended again and again, or was paused: an update may be the cure.
            was_running=state["Running"] or state["Restarting"],
            was_healthy=_is_healthy(old),
        )

    def _make(self, old: Deployment, wish: Wish, point: Point) -> Deployment:
        # Stopped first: what is written after a backup would not be in it.
        lifecycle.stop(old, self.progress.progress)
        data = self._data(point)
        data.save(Path(point.backup))
        self.points.at_stage(point, Stage.REPLACING)
        if wish.restore_from:
            self._remove_container()
            data.restore(Path(wish.restore_from), update_data.OPENCODES)
        self._write(wish.after)
        with GivingUp(self.stack, self.engine, point.container) as watch:
            try:
                new = self._up()
            except (OpencodeCloudError, OSError):
                if watch.reason:
                    raise OperationError(watch.reason) from None
                raise
        answers = health.ask(new).version
        if wish.opencode and answers != wish.opencode:
            raise OperationError(
                f"opencode {answers or 'of a version that it does not say'} answers, and not "
                f"{wish.opencode}."
            )
        return new

    def _up(self) -> Deployment:
        since = datetime.now(UTC)
        self.program.up(self.progress)
        deployment = find(self.stack, self.engine)
        if not deployment.is_running:
            lifecycle.start(deployment, self.progress.progress)
        lifecycle.supervise(deployment)
        lifecycle.wait_healthy(deployment, self.progress.progress, since, HEALTHY_SECONDS)
        return deployment.again()

    def _write(self, after: Document) -> None:
        before = self.file.read().text
        if before != after.text:
            self.file.write(Change(before, after.text, (), None, ()))

    def _data(self, point: Point) -> update_data.Data:
        images = (point.image, point.image_after)
        return update_data.Data(self.stack, self.engine, images, self.progress)

    def _container(self) -> Deployment | None:
        try:
            return find(self.stack, self.engine)
        except NoDeploymentError:
            return None

    def _remove_container(self) -> None:
        if there := self._container():
            self.engine.delete(f"/containers/{there.container}", force="true")

    # --- and back -------------------------------------------------------------

    def _put_back(self, point: Point, *, is_late: bool) -> None:
        there = self._container()
        # Nothing else has had the data then.
        is_untouched = there is not None and there.container == point.container
        self._write(update_plan.gone_back(self.file.read(), point, to_kept=not is_untouched))
        try:
            if not is_untouched:
                self._remake(point, is_late=is_late)
            elif self.program.rents and point.stage is Stage.REPLACING:
                # It was told of the new settings, whatever came of them.
                self._up_as_before(point)
            elif there and point.was_running:
                lifecycle.start(there, self.progress.progress)
        except OpencodeCloudError:
            # What was not healthy is put back when it is there again.
            if point.was_healthy or not self._container():
                raise
        self.points.forget([point], load(self.file.read().values, self.stack).kept_image)

    def _remake(self, point: Point, *, is_late: bool) -> None:
        self._remove_container()
        if point.stage is Stage.REPLACING:
            data = self._data(point)
            if is_late:
                today = self.points.backup_of(f"{point.name}-cut-off")
                data.save(today)
                self.progress.note(f"What there was until now is in {today}.")
            data.restore(Path(point.backup), update_data.SAVED)
        self._up_as_before(point)

    def _up_as_before(self, point: Point) -> None:
        deployment = self._up()
        if not point.was_running:
            lifecycle.stop(deployment, self.progress.progress)

    def _after_failure(self, wish: Wish, point: Point, error: BaseException, began: float) -> str:
        """Put everything back, and say in one text what happened and how things are."""
        what = f"The {wish.reason} was stopped."
        if not isinstance(error, KeyboardInterrupt):
            what = f"The {wish.reason} did not work out:\n{self._why(error, point)}\n"
        again = occ(self.stack, *wish.again)
        try:
            self.put_back(point)
            now = find(self.stack, self.engine)
        except Exception as second:
            # Whatever it is: people must learn where their data is.
            return (
                f"{what}\nPutting back what there was before failed as well:\n{second}\n"
                f"The data of before is in {point.backup}. To try that again: "
                f"{occ(self.stack, 'update', '--rollback')}"
            )
        state = "is stopped, as before"
        if point.was_running:
            away = time.monotonic() - began
            state = f"answers at {now.url} as before; it was away for {away:.0f} s"
        if point.was_running and not point.was_healthy:
            state = "is as unhealthy as it was"
        return (
            f"{what}\nAll is as it was: opencode {version(now)} {state}. Users, sessions and "
            f"projects are untouched. To try again: {again}"
        )

    def _why(self, error: BaseException, point: Point) -> str:
        """Say why, with what the new container printed."""
        said = str(error)
        lines: list[str] = []
        if (there := self._container()) and there.container != point.container:
            lines = told(last_lines(there))
        if not lines or _LAST_LINES.lower() in said.lower():
            return said
        return "\n".join([said, f"{_LAST_LINES}:", *lines])


def version(deployment: Deployment) -> str:
    """Give the version of opencode that answers, or else that of the image; may be empty."""
    label = deployment.labels.get(VERSION_LABEL, "")
    if not deployment.is_running:
        return label
    with suppress(OperationError):
        return health.ask(deployment).version or label
    return label


def _is_healthy(deployment: Deployment) -> bool:
    with suppress(OperationError):
        return health.ask(deployment).healthy
    return False


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let nobody stop what puts things in order, nor the programs that it runs."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
