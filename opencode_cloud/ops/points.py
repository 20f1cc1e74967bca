"""Rollback points: what there was before each update, and where it is kept.

A point is a record, an image that a tag of ours keeps on the Docker host, and a backup.
The records lie in one folder for each stack, for their owner's eyes alone.
"""

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.start.paths import Paths

REPOSITORY = "opencode-cloud"
"""As `opencode_cloud.spec.image` names what is built here."""
KEPT = 3
"""How many points stay: two updates, and going back from one."""

_GONE = (404, 409)
"""The engine's answers for what is not there, and for what is in use."""


class Stage(StrEnum):
    """How far the change came that a point was made for."""

    BEGUN = "begun"
    """Nothing is different yet, but that the deployment may be stopped."""
    REPLACING = "replacing"
    """Settings, container and data may be the old ones, the new ones or neither."""
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Point:
    """What a deployment was before a change."""

    name: str
    """When it was made, in UTC: 20260131T101500Z."""
    stack: str
    stage: Stage
    reason: str
    """The change: update or rollback."""
    opencode: str
    """The version that ran; empty where it is not known."""
    opencode_after: str
    program: str
    """Version of opencode-cloud that made the image."""
    container: str
    """Id of the one that ran; while it is there, nothing else has touched the data."""
    image: str
    """SHA-256 of its configuration."""
    image_after: str
    """Likewise, of the one that was to come."""
    kept_as: str
    """Name of ours that keeps it on the Docker host."""
    settings: str
    """Whole text of the stack's file."""
    backup: str
    """File with the data."""
    was_running: bool
    was_healthy: bool

    @property
    def is_done(self) -> bool:
        """Whether the change came to its end."""
        return self.stage is Stage.DONE

    @property
    def summary(self) -> "Summary":
        """Say what it is, without the settings: they are for their owner's eyes."""
        return Summary(
            name=self.name,
            reason=self.reason,
            finished=self.is_done,
            opencode=self.opencode,
            opencode_after=self.opencode_after,
            program=self.program,
            kept_image=self.kept_as,
            backup=self.backup,
        )


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A point, for people and programs."""

    name: str
    """When it was made, in UTC: 20260131T101500Z."""
    reason: str
    """The change that it was made for."""
    finished: bool
    """Whether that change came to its end."""
    opencode: str
    """The version that ran before it."""
    opencode_after: str
    program: str
    """Version of opencode-cloud that made the image."""
    kept_image: str
    """Name of the image on the Docker host."""
    backup: str
    """File with the data of then."""


def kept_name(stack: str, image: str) -> str:
    """Name an image so that nobody's removing of another name removes it."""
    return f"{REPOSITORY}:{stack}-kept-{image.removeprefix('sha256:')[:12]}"


@dataclass(frozen=True)
class Points:
    """The points of one stack."""

    paths: Paths
    stack: str
    engine: Engine

    @property
    def folder(self) -> Path:
        """Where the records and their backups are."""
        return self.paths.data / "rollback" / self.stack

    def all(self) -> list[Point]:
        """Give every point, newest first; a record that cannot be read is none."""
        records = sorted(self.folder.glob("*.json"), reverse=True)
        return [point for record in records if (point := _read(record))]

    def find(self, name: str) -> Point:
        """Give the point of that name, or the newest when it is empty.

        Raises:
            OperationError: there is none.
        """
        known = self.all()
        for point in known:
            if name in ("", point.name):
                return point
        if not known:
            raise OperationError(
                f"There is nothing to go back to: `occ update` has not changed {self.stack!r} yet "
                f"(no record in {self.folder})."
            )
        names = ", ".join(point.name for point in known)
        raise OperationError(f"There is no rollback point {name!r}. There is {names}.")

    def backup_of(self, name: str) -> Path:
        """Say where the backup of a point is."""
        return self.folder / f"{name}.tar"

    def keep(self, point: Point) -> None:
        """Tag the point's image, and write the record; over an earlier one of that name."""
        repository, _, tag = point.kept_as.partition(":")
        path = f"/images/{point.image}/tag"
        self.engine.post(path, query={"repo": repository, "tag": tag})
        self.write(point)

    def write(self, point: Point) -> None:
        """Write the record, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self.folder / f".{point.name}.new"
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(point), file, indent=2)
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(self.folder / f"{point.name}.json")

    def at_stage(self, point: Point, stage: Stage) -> Point:
        """Note how far the change came."""
        later = replace(point, stage=stage)
        self.write(later)
        return later

    def has_image(self, point: Point) -> bool:
        """Whether the Docker host still has the point's image."""
        try:
            self.engine.get(f"/images/{point.kept_as}/json")
        except EngineError as error:
            if error.status not in _GONE:
                raise
            return False
        return True

    def forget(self, points: Iterable[Point], in_use: str) -> None:
        """Remove points, and every kept image that nothing needs then.

        Args:
            points: those to remove.
            in_use: the name of a kept image that the settings name, and so stays; may be empty.
        """
        for point in points:
            (self.folder / f"{point.name}.json").unlink(missing_ok=True)
            self.backup_of(point.name).unlink(missing_ok=True)
        needed = {point.kept_as for point in self.all()} | {in_use}
        for name in self._kept_names() - needed:
            # A name alone goes; the image goes with its last one.
            with suppress(EngineError):
                self.engine.delete(f"/images/{name}")

    def _kept_names(self) -> set[str]:
        pattern = f"{REPOSITORY}:{self.stack}-kept-*"
        found = self.engine.get("/images/json", filters=json.dumps({"reference": [pattern]}))
        ours = re.compile(re.escape(pattern).replace(r"\*", "[0-9a-f]{12}"))
        return {tag for image in found for tag in image["RepoTags"] or [] if ours.fullmatch(tag)}


def _read(record: Path) -> Point | None:
    try:
        said = json.loads(record.read_text())
        return Point(**{**said, "stage": Stage(said["stage"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
