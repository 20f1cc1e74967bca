"""Step: the Pulumi stack, and the settings that depend on this machine."""

from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.start import stack_file
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.steps.base_image import LOCAL_BASE
from opencode_cloud.start.steps.docker_engine import DEFAULT_HOST

PULUMI_SECONDS = 120


@dataclass(frozen=True)
class Changes:
    """What has to change in a stack's settings."""

    to_set: dict[str, str]
    to_remove: list[str]

    def __bool__(self) -> bool:
        return bool(self.to_set or self.to_remove)


@dataclass
class Stack:
    """Makes the stack, and sets only what differs from the defaults on this machine."""

    context: Context
    title = "Stack"

    def is_done(self) -> str:
        """See whether the stack is there with the right settings; only our own backend can tell."""
        context = self.context
        if not self._exists() or self._changes() or self._shows_in_git():
            return ""
        return context.options.stack

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give the commands."""
        commands = [] if self._exists() else [self._select()]
        commands += self._config(self._changes())
        lines = [" ".join(command) for command in commands]
        if self._shows_in_git():
            lines.append(f"{' '.join(self._hide())}  (so that the checkout stays clean)")
        return lines

    def run(self, report: Report) -> Outcome:
        """Make the stack, set what differs, and keep git's view of the checkout clean."""
        context = self.context
        created = False
        if not self._exists():
            report.progress("making the stack")
            # Asked for one that is there already, it says nothing.
            created = any("Created stack" in line for line in self._pulumi(*self._select()))
        if created:
            context.note_change(f"made the stack {context.options.stack}")
        if changes := self._changes():
            report.progress("setting what this machine needs")
            context.paths.extra_ca.write_text(context.extra_ca)
            for command in self._config(changes):
                self._pulumi(*command)
        if self._shows_in_git():
            context.runner.run(*self._hide(), limit=20, cwd=context.paths.root)
            report.note(f"git leaves {self._file} alone from now on (--help: how to undo)")
            context.note_change(f"told git to leave {self._file} alone: {' '.join(self._hide())}")
        return Outcome(context.options.stack, changed=created or bool(changes))

    @property
    def _path(self) -> Path:
        return self.context.paths.stack_file(self.context.options.stack)

    @property
    def _file(self) -> str:
        return str(self._path.relative_to(self.context.paths.root))

    def _exists(self) -> bool:
        # Asking Pulumi takes a second. With another backend it has to be asked,
        # by the command that makes the stack when it is not there.
        stacks = self.context.paths.state / ".pulumi" / "stacks"
        return (stacks / "opencode" / f"{self.context.options.stack}.json").exists()

    def _select(self) -> tuple[str, ...]:
        return "pulumi", "stack", "select", "--create", self.context.options.stack

    def _changes(self) -> Changes:
        context = self.context
        present = stack_file.read(self._path)
        own_bundle = str(context.paths.extra_ca)
        wanted: dict[str, str] = {}
        if not present.keys() & {"image_source", "prebuilt_image"}:
            # A stack of the user's own, just made: the default needs an image's name.
            wanted["image_source"] = "build"
        if context.options.port and str(context.options.port) != self._port(present):
            wanted["port"] = str(context.options.port)
        known = ("", DEFAULT_HOST, present.get("docker_host"))
        if not context.is_remote and context.docker_host not in known:
            wanted["docker_host"] = context.docker_host
        if context.base_image not in ("", present.get("base_image")):
            wanted["base_image"] = context.base_image
        if context.extra_ca and not self._trusts_machine(present, own_bundle):
            wanted["extra_ca_file"] = own_bundle
        # Left from a time when this machine needed them; a value of the user's own stays.
        ours = {
            "base_image": (LOCAL_BASE, context.base_image),
            "extra_ca_file": (own_bundle, context.extra_ca),
        }
        if context.is_remote:
            # The user's own in any case: this machine's authorities are not that one's.
            del ours["extra_ca_file"]
        stale = [key for key, (own, use) in ours.items() if present.get(key) == own and not use]
        return Changes(wanted, stale)

    def _port(self, present: dict[str, str]) -> str:
        return present.get("port") or str(stack_file.default_port(self.context.paths.root))

    def _trusts_machine(self, present: dict[str, str], own_bundle: str) -> bool:
        chosen = present.get("extra_ca_file", "")
        if chosen != own_bundle:
            return bool(chosen)
        bundle = self.context.paths.extra_ca
        return bundle.exists() and bundle.read_text() == self.context.extra_ca

    def _config(self, changes: Changes) -> list[tuple[str, ...]]:
        stack = ("--stack", self.context.options.stack)
        pairs = [f"{key}={value}" for key, value in changes.to_set.items()]
        options = [word for pair in pairs for word in ("--plaintext", pair)]
        commands: list[tuple[str, ...]] = []
        if options:
            commands.append(("pulumi", "config", "set-all", *stack, *options))
        commands += [("pulumi", "config", "rm", *stack, key) for key in changes.to_remove]
        return commands

    def _pulumi(self, *command: str) -> list[str]:
        return self.context.runner.run(
            *command,
            "--non-interactive",
            limit=PULUMI_SECONDS,
            cwd=self.context.paths.root,
            environment=self.context.pulumi_environment,
        )

    def _shows_in_git(self) -> bool:
        """Whether git tracks the file, and would show what is written into it."""
        root = str(self.context.paths.root)
        listed = self.context.runner.ask("git", "-C", root, "ls-files", "-v", "--", self._file)
        return listed.ok and listed.out.startswith("H ")

    def _hide(self) -> tuple[str, ...]:
        return "git", "update-index", "--skip-worktree", self._file
