"""The users of a deployment: `opencode-user` in its container does the work."""

import difflib
import re
from dataclasses import dataclass

from opencode_cloud.ops.deployment import Deployment, occ
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.execution import Done, run

LIST = ("opencode-user", "list")


@dataclass(frozen=True)
class User:
    """Somebody who may sign in, or could if enabled."""

    name: str
    enabled: bool


def users(deployment: Deployment) -> list[User]:
    """List everybody.

    Raises:
        OperationError: the container does not run, or refused.
    """
    done = run(deployment, *LIST)
    if not done.ok:
        raise OperationError(refusal(deployment.stack, ("user", "list"), done))
    return parse(done.out)


def parse(text: str) -> list[User]:
    """Read the lines of `opencode-user list`."""
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    return [User(row[0], enabled=row[-1] == "enabled") for row in rows]


def change(
    deployment: Deployment,
    verb: str,
    name: str,
    *,
    password: str | None = None,
    force: bool = False,
) -> None:
    """Have `opencode-user` do `verb` to a user; effective at once.

    Raises:
        OperationError: it was refused, in its own words.
    """
    options = ("--force",) if force else ()
    stdin = None if password is None else f"{password}\n".encode(errors="surrogateescape")
    done = run(deployment, "opencode-user", verb, *options, "--", name, stdin=stdin)
    if done.ok:
        return
    text = refusal(deployment.stack, ("user", verb, name), done)
    if text.startswith("there is no user"):
        names = [user.name for user in users(deployment)]
        close = difflib.get_close_matches(name, names, n=1)
        text += f". Did you mean {close[0]}?" if close else ""
    raise OperationError(text)


def refusal(stack: str, words: tuple[str, ...], done: Done) -> str:
    """Say `opencode-user`'s words with the commands that are typed here."""
    said = (done.err or done.out).strip().removeprefix("opencode-user: ")
    said = re.sub(
        r"`opencode-user ([^`]*)`", lambda match: f"`{occ(stack, 'user', match[1])}`", said
    )
    said = re.sub(
        r"give it as one line on stdin.*",
        "type one, or use --password-stdin or --generate",
        said,
        flags=re.DOTALL,
    )
    if "say --force" in said:
        said += f": {occ(stack, *words, '--force')}"
    return said or f"opencode-user failed with status {done.code}"
