"""Updating a deployment: what there is, and going there or back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opencode_cloud.configuration import load
from opencode_cloud.image_settings import ImageSource
from opencode_cloud.ops import releases, update_plan, versions
from opencode_cloud.ops.deployment import Deployment, find, occ
from opencode_cloud.ops.errors import EngineError, OperationError
from opencode_cloud.ops.points import Point
from opencode_cloud.ops.replacement import VERSION_LABEL, Replacement, Wish, version
from opencode_cloud.ops.stack_document import Document
from opencode_cloud.settings import Settings
from opencode_cloud.spec.image import image_spec

_NOT_FOUND = 404


@dataclass(frozen=True, kw_only=True)
class Updated:
    """What an update, or going back, did."""

    stack: str
    changed: bool
    """Whether another image runs now."""
    opencode_before: str
    opencode: str
    """The version that is there now."""
    url: str
    away_seconds: float
    """How long nobody was answered."""
    point: str = ""
    """Name of the point to go back to; empty when nothing was changed."""
    backup: str = ""
    """File with the data of before; empty when nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What there is to update."""

    stack: str
    image_source: str
    opencode: str
    """The version that runs, or would."""
    newest: str
    """The newest of the same major version; empty where nobody says."""
    checkout: str
    """The version that this opencode-cloud comes with; empty with a prebuilt image."""
    image_changed: bool
    """Whether settings and checkout make another image than the one that runs."""
    update: bool
    """Whether there is anything to do."""
    commands: list[str]
    """What does it."""


@dataclass(frozen=True)
class Aim:
    """Where an update leads."""

    to: update_plan.Target
    release: releases.Release | None
    """The version of opencode that was asked for."""
    checkout: str
    """The version that the checkout pins."""


class Updater(Replacement):
    """Updates one stack."""

    # --- what there is --------------------------------------------------------

    def check(self) -> Check:
        """Ask the registry what there is, and compare it with what runs.

        Raises:
            OperationError: there is no deployment, or somebody cannot be asked.
        """
        deployment = find(self.stack, self.engine)
        settings = self.program.settings()
        runs = version(deployment)
        built = settings.image_source is ImageSource.BUILD
        newest = self._newest() if built else ""
        changed = self._makes_another(deployment)
        commands = [occ(self.stack, "update")] if changed else []
        if versions.later(newest, runs):
            commands.append(occ(self.stack, "update", "--to", newest))
        return Check(
            stack=self.stack,
            image_source=settings.image_source,
            opencode=runs,
            newest=newest,
            checkout=update_plan.pinned(self.program.paths.root) if built else "",
            image_changed=changed,
            update=bool(commands),
            commands=commands,
        )

    def _newest(self) -> str:
        machine = self._machine()
        newest = releases.package(machine, self._registry()).newest()
        versions.note(self.program.paths, newest, machine, datetime.now(UTC))
        return newest

    def newer_than(self, runs: str) -> str:
        """Ask whether there is a version newer than the one that runs; empty: not known of one.

        It is asked beside other work, which does not fail for it.
        """
        if self.program.settings().image_source is not ImageSource.BUILD:
            return ""
        try:
            newest = self._newest()
        except OperationError as error:
            self.progress.note(str(error))
            return ""
        return versions.later(newest, runs)

    def _registry(self) -> str:
        return releases.registry_of(find(self.stack, self.engine))

    def _machine(self) -> str:
        kind = self.engine.get("/version")["Arch"]
        machine = releases.MACHINES.get(kind)
        if not machine:
            raise OperationError(f"There is no opencode for a Docker engine on {kind}.")
        return machine

    def _makes_another(self, deployment: Deployment) -> bool:
        wanted = load(self.file.read().without("kept_image").values, self.stack)
        spec = image_spec(wanted, self.stack, self.program.paths.root)
        return self._image(spec.reference).get("Id") != deployment.facts["Image"]

    def _image(self, reference: str) -> dict[str, Any]:
        """Give what the engine says of an image; nothing of one that it does not have."""
        try:
            return self.engine.get(f"/images/{reference}/json")
        except EngineError as error:
            if error.status != _NOT_FOUND:
                raise
            return {}

    # --- there ----------------------------------------------------------------

    def aim(self, to: str, settings: Settings) -> Aim:
        """Understand `--to`, and look up what it names.

        Raises:
            OperationError: it cannot be had.
        """
        target = update_plan.target(to, settings)
        checkout = update_plan.pinned(self.program.paths.root)
        if not target.version:
            return Aim(target, None, checkout)
        self.progress.progress(f"looking opencode {target.version} up")
        wanted = target.version
        if wanted == update_plan.LATEST:
            wanted = self._newest()
        if wanted == checkout:
            # The lock file has its hashes.
            return Aim(target, releases.Release(wanted, ""), checkout)
        found = releases.release(wanted, self._machine(), self._registry())
        return Aim(target, found, checkout)

    def update(self, aim: Aim) -> Updated:
        """Have the deployment run what is aimed at; whatever goes wrong is put back.

        Raises:
            OpencodeCloudError: it was not done; says how things are now.
            KeyboardInterrupt: with words of the same kind.
        """
        self.recover()
        old = find(self.stack, self.engine)
        before = self.file.read()
        after = update_plan.updated(before, aim.to, aim.release, aim.checkout)
        # What is wrong with them is said before minutes are spent.
        load(after.values, self.stack)
        image = self._image(self._obtain(after))
        wanted = aim.release.version if aim.release else _label(image)
        if image.get("Id") == old.facts["Image"]:
            return self._settle(old, before, after)
        words = ("--to", aim.to.version or aim.to.digest)
        again = ("update", *(words if words[1] else ()))
        return self._change(
            old,
            Wish(reason="update", again=again, after=after, image=image["Id"], opencode=wanted),
        )

    def _obtain(self, after: Document) -> str:
        try:
            return self.program.image(self.progress, after.values)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                "Stopped before anything was changed: the deployment is as it was. To go on: the "
                "same command again; what is built or pulled already stays."
            ) from None

    def _settle(self, old: Deployment, before: Document, after: Document) -> Updated:
        """End where the right image runs already; the settings may still say otherwise."""
        if before.text != after.text:
            self._write(after)
            self._up()
        runs = version(old)
        return Updated(
            stack=self.stack,
            changed=False,
            opencode_before=runs,
            opencode=runs,
            url=old.url,
            away_seconds=0,
        )

    def _change(self, old: Deployment, wish: Wish) -> Updated:
        runs = version(old)
        done = self.make(old, wish)
        return Updated(
            stack=self.stack,
            changed=True,
            opencode_before=runs,
            opencode=version(done.deployment),
            url=done.deployment.url,
            away_seconds=round(done.away_seconds, 1),
            point=done.point.name,
            backup=done.point.backup,
        )

    # --- and back -------------------------------------------------------------

    def roll_back(self, target: Point, *, keep_data: bool) -> Updated:
        """Have the deployment be what it was at a point; that makes another point.

        Args:
            target: where to go back to.
            keep_data: leave opencode's sessions as they are today.

        Raises:
            OpencodeCloudError: it was not done; says how things are now.
        """
        if not target.is_done:
            return self._go_on_going_back(target)
        self._require(target, keep_data=keep_data)
        old = find(self.stack, self.engine)
        after = update_plan.gone_back(self.file.read(), target, to_kept=True)
        load(after.values, self.stack)
        image = self._image(self._obtain(after))
        again = ("update", "--rollback", *(("--keep-data",) if keep_data else ()))
        return self._change(
            old,
            Wish(
                reason="way back",
                again=again,
                after=after,
                image=image["Id"],
                opencode=target.opencode,
                restore_from="" if keep_data else target.backup,
            ),
        )

    def _go_on_going_back(self, target: Point) -> Updated:
        """Put back what an update left that never came to its end."""
        self.put_back(target, is_late=True)
        now = find(self.stack, self.engine)
        return Updated(
            stack=self.stack,
            changed=True,
            opencode_before="",
            opencode=version(now),
            url=now.url,
            away_seconds=0,
        )

    def _require(self, target: Point, *, keep_data: bool) -> None:
        others = occ(self.stack, "update", "--points")
        if not self.points.has_image(target):
            raise OperationError(
                f"The image of {target.name} is not on the Docker host any more "
                f"({target.kept_as}), so that nothing can go back to it. What there is: {others}"
            )
        if not keep_data and not Path(target.backup).exists():
            alone = occ(self.stack, "update", "--rollback", "--keep-data")
            raise OperationError(
                f"The backup of {target.name} is gone ({target.backup}). To go back to the image "
                f"alone, with the sessions of today: {alone}"
            )


def _label(image: dict[str, Any]) -> str:
    return ((image.get("Config") or {}).get("Labels") or {}).get(VERSION_LABEL, "")
