"""Step: a Pulumi engine with the plugins that the program needs."""

import sys
from dataclasses import dataclass

from opencode_cloud.start import official
from opencode_cloud.start.engine import OLDEST, Engine, Finder, has_plugins, users_home
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.exports import PulumiEnvironment
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.process import CommandError

PLUGIN_SECONDS = 300
BUILD_SECONDS = 3600
VERSION = ".".join(map(str, OLDEST))


@dataclass
class PulumiEngine:
    """A usable one on PATH, else the official release, else one built from Go modules."""

    context: Context
    title = "Pulumi engine"

    def is_done(self) -> str:
        """Look for an engine that is complete."""
        self.context.engine = self._finder.find()
        return self.context.engine.label if self.context.engine else ""

    def obstacle(self) -> str:
        """There is none that could be known without trying."""
        return ""

    def plan(self) -> list[str]:
        """Give what is tried, in its order."""
        found, why = self._finder.on_path()
        needed = ", ".join(f"{plugin.name} {plugin.version}" for plugin in self._finder.needed)
        first = f"use {found.label}" if found else f"{why}; so"
        return [
            f"{first}, with its official plugins ({needed})" if found else first,
            f"download the official release {VERSION} from {official.RELEASES}",
            "else, where that cannot be reached, build it from Go modules (about 10 minutes):",
            f"    {' '.join(self._build_command())}",
        ]

    def run(self, report: Report) -> Outcome:
        """Try each source in turn."""
        engine = self._official(report) or self._built(report)
        self.context.engine = engine
        return Outcome(engine.label)

    @property
    def _finder(self) -> Finder:
        context = self.context
        return Finder(context.paths, context.runner, context.environment)

    def _official(self, report: Report) -> Engine | None:
        """Give an engine with official plugins, or say in one line why there is none."""
        finder = self._finder
        on_path, why = finder.on_path()
        if not on_path and not why.startswith("no pulumi"):
            report.note(f"{why}: not used")
        report.progress("asking the official source")
        if not official.reachable():
            report.note(f"the official source ({official.RELEASES}) cannot be reached from here")
            return None
        try:
            return self._with_official_plugins(on_path or self._download(report), report)
        except StartError as error:
            report.note(f"the official source cannot be used: {str(error).splitlines()[0]}")
            return None

    def _download(self, report: Report) -> Engine:
        finder = self._finder
        engine = finder.downloaded()
        if engine:
            return engine
        target = self.context.paths.downloads / f"v{VERSION}"
        official.install(VERSION, target, report.progress)
        self.context.note_change(f"downloaded Pulumi {VERSION} to {target}")
        return Engine(f"{VERSION}, official release", target, self.context.paths.pulumi_home)

    def _with_official_plugins(self, engine: Engine, report: Report) -> Engine:
        home = engine.home or users_home(self.context.environment)
        for plugin in self._finder.needed:
            report.progress(f"fetching the {plugin.name} plugin")
            if not has_plugins(home, [plugin]):
                self._pulumi(engine, "plugin", "install", "resource", plugin.name, plugin.version)
        self._mark(engine)
        return engine

    def _built(self, report: Report) -> Engine:
        def on_line(line: str) -> None:
            report.progress(f"building from Go modules: {line}")

        self.context.runner.run(
            *self._build_command(),
            limit=BUILD_SECONDS,
            on_line=on_line,
            cwd=self.context.paths.root,
            environment=self.context.environment,
        )
        engine = self._finder.built()
        if engine is None or engine.bin is None:
            raise CommandError("tools/engine/build.py ended well and left no engine.")
        for plugin in self._finder.needed:
            report.progress(f"installing the {plugin.name} plugin")
            program = engine.bin / f"pulumi-resource-{plugin.name}"
            arguments = ("resource", plugin.name, plugin.version, "--file", str(program))
            self._pulumi(engine, "plugin", "install", *arguments, "--reinstall")
        self._mark(engine)
        self.context.note_change(f"put Pulumi {engine.label}, in {engine.bin}")
        return engine

    def _build_command(self) -> tuple[str, ...]:
        return sys.executable, "tools/engine/build.py"

    def _pulumi(self, engine: Engine, *arguments: str) -> None:
        context = self.context
        environment = PulumiEnvironment(context.paths, engine, context.environment).for_commands()
        context.runner.run("pulumi", *arguments, limit=PLUGIN_SECONDS, environment=environment)

    def _mark(self, engine: Engine) -> None:
        if engine.home:
            self._finder.mark(engine.home).write_text(str(engine.bin))
