"""How the commands become one program, and how it is called."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import typer

from opencode_cloud.cli.commands import (
    Group,
    InterruptedWithWordsError,
    examples,
    take,
    with_globals,
    words,
)
from opencode_cloud.cli.main import DONE, INTERRUPTED, complain


class Noun(Protocol):
    """A module with commands."""

    def register(self, app: typer.Typer, /) -> None:
        """Add them."""


def assemble(nouns: Iterable[Noun]) -> typer.Typer:
    """Put commands together."""
    app = typer.Typer(
        name="occ",
        cls=Group,
        help="Look after your opencode deployments.",
        epilog=examples(
            "occ status",
            "occ user add ada",
            "occ logs --follow",
            "occ shell",
            "occ --host second status --json",
            "occ --all status",
        ),
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(take)
    for noun in nouns:
        noun.register(app)
    with_globals(app)
    return app


def call(app: typer.Typer, arguments: Sequence[str], name: str) -> int:
    """Run the command that `arguments` say; gives its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        said = error.format_message()
        if said.startswith("Usage: "):
            # A group alone: its help is all that there is to say.
            print(said)
        else:
            complain(words(error))
        return error.exit_code
    except InterruptedWithWordsError as interrupt:
        if said := str(interrupt):
            complain(said)
        return INTERRUPTED
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else DONE
