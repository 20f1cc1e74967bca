"""What there is of one stack, what `occ uninstall` removes of it, and what it leaves."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opencode_cloud.ops.deployment import LABEL, occ
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.program import Program
from opencode_cloud.start import stack_file
from opencode_cloud.start.paths import Paths

_REPOSITORY = "opencode-cloud"
"""As `opencode_cloud.spec.image` names what is built here."""
_MIB = 2**20
_SECRETS = re.compile(r"^ +['\"]?secret:([^:'\"\s]+)", re.MULTILINE)
_OF_ALL = ("state", "passphrase", "pulumi", "pulumi-home", "start.log", "dockerd.log")
_BASES = re.compile(r"(?:made|pulled) the image (\S+(?= with debootstrap)|\S+@sha256:\S+)")
_PACKAGES = re.compile(r"installed packages (.+)")


@dataclass(frozen=True)
class Named:
    """One of Docker's things, by name and id."""

    name: str
    id: str


@dataclass(frozen=True)
class Volume:
    """A volume with people's data."""

    name: str
    size: int | None
    """Bytes; None: not known."""


@dataclass(frozen=True, kw_only=True)
class OnDocker:
    """What one Docker host has of a stack; all of it carries the stack's label or name."""

    containers: tuple[Named, ...] = ()
    networks: tuple[Named, ...] = ()
    images: tuple[str, ...] = ()
    """Names of images that were built here for this stack."""
    volumes: tuple[Volume, ...] = ()
    pulled: tuple[str, ...] = ()
    """Registries' images that its containers run: these may be other people's too."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be removed of a stack."""

    stack: str
    docker: OnDocker
    stack_in_pulumi: bool
    """Whether Pulumi's state has the stack."""
    file: Path | None
    """The stack's settings; None: there are none here."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets in that file: they are nowhere else."""
    file_is_gits: bool = False
    """Whether the file goes back to what git has, instead of being removed."""
    units: tuple[Path, ...] = ()
    """Files of this user's service manager."""
    service_unit: str = ""
    """Files of the service unit on the stack's host; empty: there is none."""
    data: bool = False
    """Whether people's data is removed too."""
    changes: str = ""
    """What ./start did to this machine, in its own words."""
    user_data: Path | None = None
    """The folder of state and passphrase, if it is removed with the last stack."""

    @property
    def lines(self) -> Iterator[str]:
        """What is removed, for people."""
        yield from (f"the container {each.name}" for each in self.docker.containers)
        yield from (f"the network {each.name}" for each in self.docker.networks)
        yield from (f"the image {name}" for name in self.docker.images)
        if self.stack_in_pulumi:
            yield f"the stack {self.stack} from Pulumi's state, with its history"
        yield from (f"the unit {path}" for path in self.units)
        if self.service_unit:
            yield f"the service unit {self.service_unit}"
        secrets = f", and the secrets {', '.join(self.secrets)}" if self.secrets else ""
        if self.file and self.file_is_gits:
            yield f"your changes to {self.file}{secrets}: it goes back to what git has"
        elif self.file:
            yield f"the settings in {self.file}{secrets}"
        if self.user_data:
            yield f"Pulumi's state, its engine, the passphrase and logs in {self.user_data}"
        if self.data:
            yield from (
                f"THE DATA in the volume {volume.name}{size(volume)}"
                for volume in self.docker.volumes
            )

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to remove."""
        return not list(self.lines)


def on_docker(engine: Engine, stack: str) -> OnDocker:
    """Find what the engine has of a stack.

    Raises:
        EngineError: it cannot be asked.
    """
    mine = json.dumps({"label": [f"{LABEL}={stack}"]})
    containers = engine.get("/containers/json", all=1, filters=mine)
    networks = engine.get("/networks", filters=mine)
    volumes = engine.get("/volumes", filters=mine).get("Volumes") or ()
    images = engine.get("/images/json")
    sizes = _sizes(engine) if volumes else {}
    return OnDocker(
        containers=tuple(Named(each["Names"][0].lstrip("/"), each["Id"]) for each in containers),
        networks=tuple(Named(each["Name"], each["Id"]) for each in networks),
        images=tuple(images_of(stack, images)),
        volumes=tuple(
            sorted((Volume(each["Name"], sizes.get(each["Name"])) for each in volumes), key=_name)
        ),
        pulled=tuple(pulled_of({each["ImageID"] for each in containers}, images)),
    )


def _name(volume: Volume) -> str:
    return volume.name


def images_of(stack: str, images: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Give the names that only this stack's own images have, of all that there are."""
    own = re.compile(rf"{_REPOSITORY}:{re.escape(stack)}-(?:kept-)?[0-9a-f]{{12}}")
    for image in images:
        yield from (name for name in image.get("RepoTags") or () if own.fullmatch(name))


def pulled_of(used: Collection[str], images: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Give the registries' names of the images that are used."""
    for image in images:
        if image["Id"] in used:
            digests = image.get("RepoDigests") or ()
            yield from (name for name in digests if not name.startswith("<none>"))


def _sizes(engine: Engine) -> dict[str, int]:
    found = engine.get("/system/df").get("Volumes") or ()
    usage = {each["Name"]: (each.get("UsageData") or {}).get("Size", -1) for each in found}
    return {name: count for name, count in usage.items() if count >= 0}


def size(volume: Volume) -> str:
    """Write a volume's size for people."""
    return "" if volume.size is None else f" ({volume.size / _MIB:.1f} MiB)"


def armed(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give the volumes that `pulumi destroy` would delete, of a state's resources."""
    return [
        str(resource.get("outputs", {}).get("name", resource.get("urn", "")))
        for resource in resources
        if resource.get("type") == "docker:index/volume:Volume"
        and not resource.get("retainOnDelete")
    ]


def secrets_in(file: Path) -> list[str]:
    """Give the names of the secrets in a stack's file, whatever else is wrong with it."""
    return _SECRETS.findall(file.read_text(errors="replace"))


def others(paths: Paths, stack: str) -> list[str]:
    """Give this user's other stacks, by their state and their settings."""
    states = paths.state.glob(".pulumi/stacks/opencode/*.json")
    files = stack_file.all_of(paths.root).items()
    # Without a salt, nothing of a stack's is encrypted yet.
    bound = {name for name, path in files if stack_file.has_salt(path)}
    return sorted(({path.stem for path in states} | bound) - {stack})


@dataclass(frozen=True)
class Left:
    """One thing that stays, and how it is removed."""

    what: str
    remove: str
    """Empty: it had better stay."""
    on_host: bool = False
    """Whether it is on the deployment's machine, whichever that is."""


def left(paths: Paths, plan: Plan) -> Iterator[Left]:
    """Give what is left of a stack when `plan` is done."""
    stack = plan.stack
    if plan.docker.volumes and not plan.data:
        shown = "\n".join(f"    {each.name}{size(each)}" for each in plan.docker.volumes)
        names = f"$(docker volume ls -q --filter label={LABEL}={stack})"
        yield Left(
            f"the data, in {len(plan.docker.volumes)} volumes, which the next deployment of this "
            f"name finds again:\n{shown}",
            f"docker volume rm {names}",
            on_host=True,
        )
    for folder, what in (
        (paths.backups(stack), "backups"),
        (paths.data / "rollback" / stack, "backups of updates"),
    ):
        if folder.is_dir() and any(folder.iterdir()):
            yield Left(f"{what}, in {folder}", f"rm -r {folder}")
    for image in plan.docker.pulled:
        yield Left(f"the image {image}", f"docker image rm {image}", on_host=True)
    yield from _shared(paths, plan)


def _shared(paths: Paths, plan: Plan) -> Iterator[Left]:
    """Give what other stacks of this user need too, or would."""
    if rest := others(paths, plan.stack):
        yield Left(f"what the stacks {', '.join(rest)} need too, in {paths.data}", "")
        return
    if plan.user_data is None and any((paths.data / name).exists() for name in _OF_ALL):
        yield Left(
            f"Pulumi's state, passphrase and logs, in {paths.data}",
            occ(plan.stack, "uninstall", "--all"),
        )
    if paths.cache.is_dir():
        yield Left(f"what can be made again, in {paths.cache}", f"rm -r {paths.cache}")
    changes = plan.changes
    if bases := list(dict.fromkeys(_BASES.findall(changes))):
        yield Left(f"images to build on: {' '.join(bases)}", f"docker image rm {' '.join(bases)}")
    if packages := installed(changes):
        words = " ".join(packages)
        yield Left(f"packages that ./start installed: {words}", f"sudo apt-get remove {words}")


def installed(changes: str) -> list[str]:
    """Give the system's packages that ./start installed, from its list of what it did."""
    found = (word for names in _PACKAGES.findall(changes) for word in names.split())
    return list(dict.fromkeys(found))


def state_files(program: Program) -> list[Path]:
    """Give all that our own backend has of a stack, for where Pulumi itself cannot remove it."""
    top = program.paths.state / ".pulumi"
    stack = program.stack
    files = top.glob(f"stacks/opencode/{stack}.json*")
    folders = [top / kind / "opencode" / stack for kind in ("backups", "history")]
    folders.append(top / "locks" / "organization" / "opencode" / stack)
    return [*sorted(files), *(folder for folder in folders if folder.exists())]
