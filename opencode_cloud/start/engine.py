"""Pulumi engines: which one is used, and with which plugins."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.start.machine import which, without
from opencode_cloud.start.paths import Paths
from opencode_cloud.start.process import Runner

OLDEST = (3, 232, 0)
"""The engine that the program is tested with."""
NEXT_MAJOR = 4

LANGUAGE_HOST = "pulumi-language-python"


@dataclass(frozen=True)
class Engine:
    """A Pulumi engine that can run the program."""

    label: str
    """For people: version and where it comes from."""
    bin: Path | None = None
    """Folder of its programs; ``None``: they are on PATH."""
    home: Path | None = None
    """PULUMI_HOME of its own; ``None``: the user's."""
    offline: bool = False
    """Its plugins were built here, and are never looked for elsewhere."""


@dataclass(frozen=True)
class Plugin:
    """A resource plugin, in the version of the Python package that speaks to it."""

    name: str
    version: str

    @property
    def folder(self) -> str:
        """Name of its folder below ``plugins/`` in Pulumi's home."""
        return f"resource-{self.name}-v{self.version}"


def plugins(requirements: str) -> list[Plugin]:
    """Give the plugins that the packages in ``requirements`` need."""
    pins = re.findall(r"^pulumi-([a-z0-9-]+)==([0-9.]+)", requirements, re.MULTILINE)
    return [Plugin(name, version) for name, version in pins]


def parse_version(text: str) -> tuple[int, ...] | None:
    """Read what ``pulumi version`` prints: ``v3.232.0``, ``v3.240.0-alpha.1``."""
    match = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else None


def is_usable(version: tuple[int, ...] | None) -> bool:
    """Whether the program runs with an engine of this version."""
    return version is not None and version >= OLDEST and version[0] < NEXT_MAJOR


def has_plugins(home: Path, needed: list[Plugin]) -> bool:
    """Whether Pulumi finds every needed plugin in ``home``."""
    folder = home / "plugins"
    return all(
        (folder / plugin.folder).is_dir() and not (folder / f"{plugin.folder}.partial").exists()
        for plugin in needed
    )


def users_home(environment: Mapping[str, str]) -> Path:
    """Give the folder of the user's own Pulumi."""
    return Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")


def built_programs(root: Path) -> Path | None:
    """Give the folder of the programs that were built from the program's own sources."""
    builder = root / "tools" / "engine" / "build.py"
    # By its place: an installed program has no package `tools`, and others may.
    found = importlib.util.spec_from_file_location("opencode_cloud_engine_build", builder)
    if not builder.is_file() or not found or not found.loader:
        return None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.cached()


@dataclass(frozen=True)
class Finder:
    """Finds the engines that are there. Reads only."""

    paths: Paths
    runner: Runner
    environment: Mapping[str, str]

    @property
    def needed(self) -> list[Plugin]:
        """The plugins that the program needs."""
        return plugins(self.paths.requirements.read_text())

    def find(self) -> Engine | None:
        """Give the engine to use, if one is complete: PATH, then official, then built."""
        on_path, _ = self.on_path()
        if on_path and has_plugins(users_home(self._users_environment()), self.needed):
            return on_path
        candidates = (self.downloaded(), self.built())
        return next((engine for engine in candidates if engine and self.is_complete(engine)), None)

    def on_path(self) -> tuple[Engine | None, str]:
        """Give the user's own engine, or say why it cannot be used."""
        environment = self._users_environment()
        pulumi = which("pulumi", environment)
        if not pulumi:
            return None, "no pulumi on PATH"
        version = parse_version(self.runner.ask(str(pulumi), "version").out)
        wanted = f"{'.'.join(map(str, OLDEST))} or newer, and older than {NEXT_MAJOR}"
        if version is None or not is_usable(version):
            shown = ".".join(map(str, version or ())) or "of an unknown version"
            return None, f"{pulumi} is {shown}; wanted {wanted}"
        if not which(LANGUAGE_HOST, environment):
            return None, f"{pulumi} has no {LANGUAGE_HOST} beside it"
        return Engine(f"{pulumi} {'.'.join(map(str, version))}"), ""

    def downloaded(self) -> Engine | None:
        """Give the official release that an earlier run fetched."""
        version = ".".join(map(str, OLDEST))
        folder = self.paths.downloads / f"v{version}"
        if not (folder / "pulumi").exists():
            return None
        return Engine(f"{version}, official release", folder, self.paths.pulumi_home)

    def built(self) -> Engine | None:
        """Give the engine that was built from Go modules."""
        folder = built_programs(self.paths.root)
        if not folder:
            return None
        version = ".".join(map(str, OLDEST))
        label = f"{version}, built from Go modules"
        return Engine(label, folder, self.paths.pulumi_home, offline=True)

    def is_complete(self, engine: Engine) -> bool:
        """Whether the plugins in an engine's own home are there, and are this engine's."""
        if engine.home is None or not has_plugins(engine.home, self.needed):
            return False
        mark = self.mark(engine.home)
        return mark.exists() and mark.read_text() == str(engine.bin)

    def mark(self, home: Path) -> Path:
        """Give the file that says whose plugins are in ``home``."""
        return home / "plugins" / "made-for"

    def _users_environment(self) -> dict[str, str]:
        # After `eval "$(./start --print-env)"` our own engine is on PATH, and
        # would look like the user's.
        ours = (self.paths.data, self.paths.cache, self.paths.venv)
        environment = dict(self.environment)
        environment["PATH"] = without(environment.get("PATH", ""), ours)
        if environment.get("PULUMI_HOME") == str(self.paths.pulumi_home):
            del environment["PULUMI_HOME"]
        return environment
