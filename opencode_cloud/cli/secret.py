"""`occ secret`: variables for opencode that nobody else may read."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.changing import Apply, make, stack_file
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.secrets import Secret

Name = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="Name of the variable.", show_default=False),
]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="What to remove.", show_default=False)
]
FromStdin = Annotated[bool, typer.Option("--stdin", help="Read the value from standard input.")]
FromFile = Annotated[
    Path | None, typer.Option("--file", metavar="PATH", help="Read the value from a file.")
]


def set_(
    context: typer.Context,
    words: Name,
    stdin: FromStdin = False,
    file: FromFile = None,
    apply: Apply = False,
) -> None:
    """Set a secret for opencode. Its value is asked for, unless an option says where it comes from.

    It is encrypted in the stack's file. One line end at its end is not part of it.
    """
    from opencode_cloud.environment import SECRET
    from opencode_cloud.ops import secrets
    from opencode_cloud.ops.environment import check_name
    from opencode_cloud.ops.program import program_of

    options = options_of(context)
    name = _name(options, words)
    if stdin and file:
        raise typer.BadParameter("--stdin and --file both give the value: use one of the two.")
    stack = stack_file(options)
    # Before somebody types what is then not taken.
    check_name(name, SECRET, stack.read())
    value = _value(options, name, stdin=stdin, file=file)
    change = secrets.set_secret(program_of(options.host, options.trace), stack.read(), name, value)
    make(options, stack, change, options.occ("secret", "set", name, "--yes"), apply=apply)


def list_(context: typer.Context) -> None:
    """List the secrets of the stack and when each was set. Values are never shown."""
    from opencode_cloud.ops.secrets import secrets

    options = options_of(context)
    found = secrets(stack_file(options).read())
    if options.json:
        print(json.dumps([asdict(secret) for secret in found]))
        return
    width = max((len(secret.name) for secret in found), default=0)
    for secret in found:
        print(f"{secret.name:<{width}}  {_about(options, secret)}")
    if not found:
        options.say(f"There are none. To set one: {options.occ('secret', 'set', 'NAME')}")


def remove(context: typer.Context, names: Names, apply: Apply = False) -> None:
    """Remove secrets; opencode is without them once that is applied."""
    from opencode_cloud.environment import SECRET
    from opencode_cloud.ops import environment

    options = options_of(context)
    stack = stack_file(options)
    change = environment.remove(stack.read(), SECRET, names)
    command = options.occ("secret", "remove", *names, "--yes")
    _confirm(options, names, command)
    make(options, stack, change, command, apply=apply)


def _name(options: Options, words: list[str]) -> str:
    """Give the one word that there is; more can only be the value."""
    name, is_pair, _ = words[0].partition("=")
    if len(words) == 1 and not is_pair:
        return name
    raise OperationError(
        "A secret's value is never given on the command line: it is in your shell's history now, "
        "and was in the list of processes, where every user of this machine can look. Nothing "
        "was changed. Have a new one made where it came from, take this one out of the history, "
        f"and give the new one to: {options.occ('secret', 'set', name)}"
    )


def _value(options: Options, name: str, *, stdin: bool, file: Path | None) -> str:
    from opencode_cloud.cli import hidden_line
    from opencode_cloud.environment import MOST_BYTES
    from opencode_cloud.ops.secrets import read

    command = options.occ("secret", "set", name)
    if file:
        return read(file)
    if stdin:
        if sys.stdin.isatty():
            raise OperationError(
                f"--stdin reads what is piped in, and a terminal would show it. Say `{command}`, "
                "and it is asked for."
            )
        return read(None, sys.stdin.buffer.read(MOST_BYTES + 3))
    if not options.can_ask:
        raise OperationError(
            "There is nobody to ask for the value. Give it on standard input "
            f"({command} --stdin), or in a file ({command} --file PATH)."
        )
    return hidden_line.ask(f"Value of {name}, not shown:", f"{command} --file PATH")


def _about(options: Options, secret: "Secret") -> str:
    if not secret.encrypted:
        return f"NOT ENCRYPTED; put it right: {options.occ('secret', 'set', secret.name)}"
    if not secret.set:
        return "set by pulumi, not known when"
    return f"set {secret.set.replace('T', ' ').removesuffix('Z')} UTC"


def _confirm(options: Options, names: list[str], command: str) -> None:
    if options.yes:
        return
    shown = " and ".join(names)
    if not options.can_ask:
        raise OperationError(
            f"Removing {shown} deletes the only copy that there is here, and there is nobody to "
            f"ask whether that is meant. Say so: {command}"
        )
    if not agrees(f"Remove {shown}? There is no other copy here. [y/N]"):
        raise OperationError("Nothing was removed.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        name="secret",
        help="Variables for opencode that nobody else may read: keys, tokens, passwords.",
        no_args_is_help=True,
        epilog=examples("occ secret list", "occ secret set OPENAI_API_KEY"),
    )
    group.command(
        "set",
        epilog=examples(
            "occ secret set OPENAI_API_KEY",
            "occ secret set OPENAI_API_KEY --stdin --apply < key.txt",
            "occ secret set SSH_PRIVATE_KEY --file ~/.ssh/id_ed25519",
        ),
    )(set_)
    group.command("list", epilog=examples("occ secret list", "occ secret list --json"))(list_)
    group.command(
        "remove", epilog=examples("occ secret remove OPENAI_API_KEY", "occ secret remove A B --yes")
    )(remove)
    app.add_typer(group)
