"""`occ env`: plain variables for opencode."""

import json
import shlex
from typing import Annotated

import typer

from opencode_cloud.cli.changing import Apply, make, stack_file
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops.errors import OperationError

Pairs = Annotated[
    list[str],
    typer.Argument(metavar="NAME=VALUE...", help="What to set.", show_default=False),
]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="What to remove.", show_default=False)
]


def set_(context: typer.Context, pairs: Pairs, apply: Apply = False) -> None:
    """Set plain variables for opencode and for `occ shell`.

    They stand in the stack's file and in `docker inspect`: for keys there is `occ secret set`.
    """
    from opencode_cloud.ops import environment

    options = options_of(context)
    file = stack_file(options)
    values = dict(environment.pair(argument) for argument in pairs)
    command = options.occ("env", "set", *map(shlex.quote, pairs), "--yes")
    if not options.yes:
        _refuse_secrets(options, environment.secret_like(values))
    make(options, file, environment.set_variables(file.read(), values), command, apply=apply)


def list_(context: typer.Context) -> None:
    """List the variables that the stack has for opencode, as NAME=VALUE."""
    from opencode_cloud.ops.environment import variables

    options = options_of(context)
    found = variables(stack_file(options).read())
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name}={_on_one_line(value)}")
    if not found:
        options.say(f"There are none. To set one: {options.occ('env', 'set', 'NAME=VALUE')}")


def remove(context: typer.Context, names: Names, apply: Apply = False) -> None:
    """Remove variables; opencode is without them once that is applied."""
    from opencode_cloud.environment import ENV
    from opencode_cloud.ops import environment

    options = options_of(context)
    file = stack_file(options)
    change = environment.remove(file.read(), ENV, names)
    command = options.occ("env", "remove", *map(shlex.quote, names), "--yes")
    make(options, file, change, command, apply=apply)


def _refuse_secrets(options: Options, names: list[str]) -> None:
    if not names:
        return
    secret = " && ".join(options.occ("secret", "set", name) for name in names)
    raise OperationError(
        f"{' and '.join(names)} looks like a key or a password, and a plain variable stands in "
        "the stack's file and in `docker inspect` for others to read. Nothing was changed.\n"
        f"As a secret: {secret}  (its value stands in your shell's history now; better make a "
        "new one)\nIf it is nothing secret: the same command with --yes"
    )


def _on_one_line(value: str) -> str:
    """Write a value as it is, or quoted as a shell does it where it has line ends and the like."""
    if value.isprintable():
        return value
    return "$'" + "".join(map(_escaped, value)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character) or f"\\U{ord(character):08x}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        name="env",
        help="Plain variables for opencode. What is secret belongs to `occ secret`.",
        no_args_is_help=True,
        epilog=examples("occ env list", "occ env set HTTPS_PROXY=http://proxy.example.org:3128"),
    )
    group.command(
        "set",
        epilog=examples(
            "occ env set HTTPS_PROXY=http://proxy.example.org:3128 NO_PROXY=localhost",
            "occ env set TZ=Europe/Berlin --apply",
        ),
    )(set_)
    group.command("list", epilog=examples("occ env list", "occ env list --json"))(list_)
    group.command("remove", epilog=examples("occ env remove HTTPS_PROXY NO_PROXY"))(remove)
    app.add_typer(group)
