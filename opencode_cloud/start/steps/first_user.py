"""Step: somebody who can log in."""

import secrets
from dataclasses import dataclass

from opencode_cloud.start.errors import StartError
from opencode_cloud.start.plan import Context, Outcome, Report

USER_SECONDS = 30

# Without the letters and digits that are taken for one another.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 5, 4


def generate_password() -> str:
    """Make a password of 99 bits that can be read out and typed."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


@dataclass
class FirstUser:
    """Makes a user where there is none; changes a password only when asked to."""

    context: Context
    title = "User"

    def is_done(self) -> str:
        """See whether there is a user already, and nothing else was asked for."""
        options = self.context.options
        if options.password_stdin or options.new_password:
            return ""
        names = self._names()
        found = [name for name in names if options.user in (None, name)]
        self.context.users = found
        return ", ".join(found)

    def obstacle(self) -> str:
        """There is none."""
        return ""

    def plan(self) -> list[str]:
        """Give the command."""
        name = self.context.options.user_name
        verb = "passwd" if name in self._names() else "add"
        source = "read from standard input" if self._given else "generated, and shown once"
        command = " ".join(self._command(verb, name))
        return [f"{command}  (the password, {source}, on its standard input)"]

    def run(self, report: Report) -> Outcome:
        """Make the user, or give an existing one the password that was asked for."""
        context = self.context
        name = context.options.user_name
        names = self._names()
        if context.options.new_password and names and name not in names:
            raise StartError(
                f"There is no user {name}; there is {', '.join(names)}. Say whose password to "
                f"make: ./start --new-password --user {names[0]}"
            )
        report.progress(name)
        verb, done = ("passwd", "new password for") if name in names else ("add", "made")
        password = context.password or generate_password()
        context.runner.run(
            *self._command(verb, name),
            limit=USER_SECONDS,
            stdin=f"{password}\n",
            name="opencode-user",
        )
        context.users = [name]
        if not context.password:
            context.generated_password = password
        context.note_change(f"{done} {name}, in the container {context.container}")
        return Outcome(f"{done} {name}")

    @property
    def _given(self) -> bool:
        return self.context.options.password_stdin

    def _command(self, *arguments: str) -> tuple[str, ...]:
        # Never on the command line: everybody on the machine can read those.
        # Nor are they on one of ssh's, where it is another machine.
        return self.context.docker(
            "exec", "-i", self.context.container, "opencode-user", *arguments
        )

    def _names(self) -> list[str]:
        answer = self.context.runner.ask(
            *self.context.docker("exec", self.context.container, "opencode-user", "list")
        )
        return [line.split()[0] for line in answer.out.splitlines() if line.strip()]
