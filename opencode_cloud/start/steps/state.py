"""Step: where Pulumi keeps its state, and the passphrase of the stacks' secrets."""

import os
import secrets
from dataclasses import dataclass

from opencode_cloud.start import stack_file
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.exports import backend_url, uses_own_backend, uses_own_passphrase
from opencode_cloud.start.plan import Context, Outcome, Report


@dataclass
class State:
    """A folder and a generated passphrase, unless the environment names others."""

    context: Context
    title = "Pulumi state"

    def is_done(self) -> str:
        """See whether the folder and the passphrase are there, or are not ours."""
        if self._needs_folder() or self._needs_passphrase():
            return ""
        return backend_url(self.context.paths, self.context.environment)

    def obstacle(self) -> str:
        """Tell when a new passphrase would lock what the old one protects."""
        if not self._needs_passphrase():
            return ""
        paths = self.context.paths
        stack = paths.stack_file(self.context.options.stack)
        if self._own_backend and any(paths.state.glob(".pulumi/stacks/**/*.json")):
            return (
                f"{paths.passphrase} is missing, and the state in {paths.state} cannot be read "
                "without it. Put the file back from a backup. Without one: move the state away, "
                "and ./start makes a new stack that finds its volumes again."
            )
        if stack_file.has_secrets(stack):
            return (
                f"{paths.passphrase} is missing, and {stack} holds secrets that only it opens. "
                "Put the file back from a backup, or remove the secrets (pulumi config rm KEY)."
            )
        return ""

    def plan(self) -> list[str]:
        """Give what is made."""
        paths = self.context.paths
        return [
            *([f"make the folder {paths.state}"] if self._needs_folder() else []),
            *(
                [f"generate a passphrase into {paths.passphrase}, readable by you alone"]
                if self._needs_passphrase()
                else []
            ),
        ]

    def run(self, report: Report) -> Outcome:
        """Make what is missing."""
        context = self.context
        paths = context.paths
        report.progress("making the folder and the passphrase")
        if obstacle := self.obstacle():
            raise StartError(obstacle)
        paths.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._own_backend:
            paths.state.mkdir(exist_ok=True, mode=0o700)
        if self._needs_passphrase():
            self._generate()
        context.note_change(f"made Pulumi's state in {paths.data}")
        return Outcome(backend_url(paths, context.environment))

    @property
    def _own_backend(self) -> bool:
        return uses_own_backend(self.context.paths, self.context.environment)

    def _needs_folder(self) -> bool:
        return self._own_backend and not self.context.paths.state.is_dir()

    def _needs_passphrase(self) -> bool:
        own = uses_own_passphrase(self.context.paths, self.context.environment)
        return own and not self.context.paths.passphrase.exists()

    def _generate(self) -> None:
        paths = self.context.paths
        stack = paths.stack_file(self.context.options.stack)
        if stack_file.has_salt(stack):
            # Of a passphrase that is gone; Pulumi would refuse the new one.
            stack_file.drop_salt(stack)
        unfinished = paths.passphrase.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        unfinished.rename(paths.passphrase)
