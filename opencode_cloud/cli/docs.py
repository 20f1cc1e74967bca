"""Write the reference of the commands: `python -m opencode_cloud.cli.docs` prints Markdown."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from opencode_cloud.cli.app import app
from opencode_cloud.cli.commands import examples

_INTRODUCTION = """\
# `occ`

Looks after a deployment from the command line. `opencode-cloud` is the same program. In a
checkout it is `./occ`, once `./start` or `./occ setup` has run; elsewhere `pipx install` brings it.

Each deployment is a stack: `--host NAME` (or `OPENCODE_STACK`) says which; otherwise the one that
`occ host default` chose is meant, or `local`. Global options may stand before a command or among
its own. `--host A,B`, `--group` and `--all` work on several stacks side by side ([how](fleet.md)).

Exit codes: 0 done; 1 not done, and the message says what to do; 2 wrong usage; 130 interrupted.
`occ status` has 3 for stopped or not there, and 4 for unhealthy; `occ update --check` has 5 for an
update that is there; `occ shell COMMAND` has the command's. Of several
stacks, 1 says that not all are done.

`occ --install-completion` makes bash, zsh, fish or PowerShell complete commands and options.
"""


def reference() -> str:
    """Make the page."""
    root: Any = typer.main.get_command(app)
    options = _options(root)
    parts = [_INTRODUCTION, "## Global options", _table(options)]
    for path, command in _commands(root, "occ"):
        parts.extend(_section(path, command))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _section(path: str, command: Any) -> Iterator[str]:
    arguments = [
        param.metavar or param.name for param in command.params if not hasattr(param, "is_flag")
    ]
    yield f"## `{' '.join((path, *arguments))}`"
    yield re.sub(r"\s*\n(?!\n)", "\n", inspect.cleandoc(command.help or ""))
    if options := _options(command):
        yield _table(options)
    if lines := _examples(command.epilog or ""):
        yield "\n".join(("```sh", *lines, "```"))


def _options(command: Any) -> list[tuple[str, str]]:
    return [
        (_written(param), param.help or "")
        for param in command.params
        if hasattr(param, "is_flag") and not param.hidden and param.name != "help"
    ]


def _written(param: Any) -> str:
    words = ", ".join([*param.opts, *param.secondary_opts])
    value = "" if param.is_flag else f" {param.metavar or 'TEXT'}"
    return f"{words}{value}"


def _table(rows: list[tuple[str, str]]) -> str:
    cells = [
        f"| `{name}` | {' '.join(text.split())} |".replace("NUMBER|all", r"NUMBER\|all")
        for name, text in rows
    ]
    return "\n".join(("| option | meaning |", "| - | - |", *cells))


def _examples(epilog: str) -> list[str]:
    head = examples().strip()
    return [line.strip() for line in epilog.removeprefix(head).split("\n") if line.strip()]


if __name__ == "__main__":
    print(reference(), end="")
