"""`occ shell`."""

from typing import Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import options_of, refuse_json

_BY_SIGNAL = 128


def shell(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]...",
            help="What to run, with its options; none: a shell.",
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        bool, typer.Option("--root", help="As root, not as the agent's user opencode.")
    ] = False,
) -> None:
    """Open a shell in the deployment, or run one command there, in /workspace.

    On a terminal the command has a terminal too. Otherwise input and output are piped as they
    are, and the exit code is the command's.
    """
    from opencode_cloud.ops import terminal

    options = options_of(context)
    refuse_json(options, "shell")
    person = terminal.ROOT if root else terminal.AGENT
    try:
        code = terminal.attach(options.needed(), command or [], person)
    except terminal.EndedBySignalError as error:
        raise typer.Exit(_BY_SIGNAL + error.number) from None
    raise typer.Exit(code)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        # What comes after the command's first word is the command's.
        context_settings={"allow_interspersed_args": False},
        epilog=examples(
            "occ shell",
            "occ shell git log --oneline -5",
            "occ shell --root",
            "occ shell tar -cz . > workspace.tar.gz",
            "occ shell sh -c 'cat > notes.txt' < notes.txt",
        ),
    )(shell)
