"""Every command, put together."""

from collections.abc import Sequence

import typer

from opencode_cloud.cli import browser, config, lifecycle, logs, shell, status, user, version
from opencode_cloud.cli.commands import Group, examples, take, with_globals, words
from opencode_cloud.cli.main import DONE, INTERRUPTED, complain

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
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.callback()(take)
for noun in (status, lifecycle, logs, browser, user, shell, config, version):
    noun.register(app)
with_globals(app)


def call(arguments: Sequence[str], name: str) -> int:
    """Run the command that `arguments` say; gives its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name=name, standalone_mode=False)
    except typer.TyperException as error:
        # Without words when it was the help that was shown.
        if error.format_message():
            complain(words(error))
        return error.exit_code
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else DONE
