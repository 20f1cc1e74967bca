"""The data of a deployment, saved before an update and put back when that is needed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from opencode_cloud.ops import backup
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.program import Progress
from opencode_cloud.ops.volume_helper import TOO_OLD
from opencode_cloud.spec.volumes import Volume

Result = TypeVar("Result")

OPENCODES = (Volume.DATA, Volume.STATE, Volume.CONFIG)
"""What opencode itself writes, and one version may write in another way than the next."""
UNTOUCHED = (Volume.WORKSPACE, Volume.CACHE)
"""What no version of anything changes: people's projects, and what can be had again."""
SAVED = tuple(volume for volume in Volume if volume not in UNTOUCHED)


@dataclass(frozen=True)
class Data:
    """The volumes of one stack."""

    stack: str
    engine: Engine
    images: tuple[str, ...]
    """Images that may read and write them: the first that knows how does it."""
    progress: Progress

    def save(self, to: Path) -> None:
        """Write what an update may change into one file.

        Raises:
            OperationError: it cannot be done; there is no such file then.
        """
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = self._by_an_able_image(
            lambda target: backup.create(
                target, to.parent, progress=self.progress, without=UNTOUCHED
            )
        )
        Path(made.where).rename(to)

    def restore(self, path: Path, volumes: Collection[Volume]) -> None:
        """Put what was saved in the place of what is there, in some of the volumes.

        Raises:
            OperationError: it was not done; the data are as they were.
        """
        self._by_an_able_image(
            lambda target: backup.restore_volumes(
                target, path, only=volumes, progress=self.progress
            )
        )

    def _by_an_able_image(self, work: Callable[[backup.Target], Result]) -> Result:
        *others, last = self.images
        for image in others:
            try:
                return work(backup.Target(self.stack, self.engine, image))
            except OperationError as error:
                # Made before there were backups.
                if TOO_OLD not in str(error):
                    raise
        return work(backup.Target(self.stack, self.engine, last))
