"""`occ user`: who may sign in."""

import getpass
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.errors import OperationError

Name = Annotated[str, typer.Argument(metavar="USER", help="The user's name.", show_default=False)]
FromStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from standard input, one line."),
]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password, and print it once.")]
Force = Annotated[bool, typer.Option("--force", help="Even the last user who can sign in.")]


def add(
    context: typer.Context, name: Name, stdin: FromStdin = False, generate: Generate = False
) -> None:
    """Add a user. The password is asked for, unless an option says where it comes from."""
    _give_password(context, "add", name, stdin=stdin, generate=generate)


def passwd(
    context: typer.Context, name: Name, stdin: FromStdin = False, generate: Generate = False
) -> None:
    """Change a user's password; whoever is signed in as that user is signed out."""
    _give_password(context, "passwd", name, stdin=stdin, generate=generate)


def remove(context: typer.Context, name: Name, force: Force = False) -> None:
    """Remove a user and the user's home folder; whoever is signed in as that user is signed out."""
    options = options_of(context)
    refuse_json(options, "user remove")
    deployment = options.needed()
    _confirm(options, name, force=force)
    _change(deployment, "remove", name, force=force)
    options.say(f"{name} is removed.")


def disable(context: typer.Context, name: Name, force: Force = False) -> None:
    """Keep a user from signing in, until enabled again; all their sessions end."""
    options = options_of(context)
    refuse_json(options, "user disable")
    _change(options.needed(), "disable", name, force=force)
    options.say(f"{name} cannot sign in until: {options.occ('user', 'enable', name)}")


def enable(context: typer.Context, name: Name) -> None:
    """Let a disabled user sign in again, with the password of before."""
    options = options_of(context)
    refuse_json(options, "user enable")
    _change(options.needed(), "enable", name)
    options.say(f"{name} can sign in.")


def list_users(context: typer.Context) -> None:
    """List the users, and who of them can sign in."""
    from opencode_cloud.ops.users import users

    options = options_of(context)
    found = users(options.needed())
    if options.json:
        print(json.dumps([asdict(user) for user in found]))
        return
    width = max((len(user.name) for user in found), default=0)
    for user in found:
        print(f"{user.name:<{width}}  {'enabled' if user.enabled else 'disabled'}")
    if not found:
        options.say(f"Nobody can sign in yet. Add somebody: {options.occ('user', 'add', 'NAME')}")


def _give_password(
    context: typer.Context, verb: str, name: str, *, stdin: bool, generate: bool
) -> None:
    options = options_of(context)
    refuse_json(options, f"user {verb}")
    if stdin and generate:
        raise typer.BadParameter(
            "--password-stdin gives a password and --generate makes one: use one of the two."
        )
    deployment = options.needed()
    deployment.require_running()
    password = _password(options, verb, name, stdin=stdin, generate=generate)
    from opencode_cloud.ops.users import change

    change(deployment, verb, name, password=password)
    did = "can sign in" if verb == "add" else "has a new password"
    options.say(f"{name} {did}: {deployment.url}{options.there}")
    if generate:
        if not options.quiet:
            print("Password, shown only now: ", end="")
        print(password)


def _password(options: Options, verb: str, name: str, *, stdin: bool, generate: bool) -> str:
    if generate:
        from opencode_cloud.start.steps.first_user import generate_password

        return generate_password()
    if stdin:
        line = sys.stdin.buffer.readline()
        return line.rstrip(b"\r\n").decode(errors="surrogateescape")
    if not options.can_ask:
        command = options.occ("user", verb, name)
        raise OperationError(
            "There is nobody to ask for the password. Give it on standard input "
            f"({command} --password-stdin), or have one made ({command} --generate)."
        )
    password = getpass.getpass(f"Password for {name}: ")
    if getpass.getpass("The same again: ") != password:
        raise OperationError("The two passwords differ; nothing was changed. Try again.")
    return password


def _confirm(options: Options, name: str, *, force: bool) -> None:
    if options.yes:
        return
    if not options.can_ask:
        words = ("user", "remove", name, *(("--force",) if force else ()), "--yes")
        raise OperationError(
            f"Removing {name} deletes their home folder, and there is nobody to ask whether that "
            f"is meant. Say so: {options.occ(*words)}"
        )
    print(f"Remove {name}, and their home folder? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise OperationError("Nothing was removed.")


def _change(deployment: Deployment, verb: str, name: str, *, force: bool = False) -> None:
    from opencode_cloud.ops.users import change

    change(deployment, verb, name, force=force)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    users = typer.Typer(
        name="user",
        help="Who may sign in. Every change is effective at once.",
        no_args_is_help=True,
        epilog=examples("occ user list", "occ user add ada"),
    )
    given = (
        "occ user {0} ada",
        "occ user {0} ada --generate",
        "occ user {0} ada --password-stdin < password.txt",
    )
    shown = {
        add: [line.format("add") for line in given],
        passwd: [line.format("passwd") for line in given],
        remove: ["occ user remove ada", "occ user remove ada --yes"],
        disable: ["occ user disable ada"],
        enable: ["occ user enable ada"],
    }
    for function, lines in shown.items():
        users.command(epilog=examples(*lines))(function)
    users.command("list", epilog=examples("occ user list", "occ user list --json"))(list_users)
    app.add_typer(users)
