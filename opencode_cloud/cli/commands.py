"""How commands are made: with the global options, and words for what was mistyped."""

import difflib
import re
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from opencode_cloud import __version__
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops import default_host
from opencode_cloud.ops.project import DEFAULT_STACK

Flag = bool | None
"""None: not said here."""


def _show_version(value: Flag) -> None:
    if value:
        print(f"opencode-cloud {__version__}")
        raise typer.Exit


def take(
    context: typer.Context,
    *,
    host: Annotated[
        str | None,
        typer.Option(
            "--host",
            envvar="OPENCODE_STACK",
            metavar="NAME",
            help="The stack to work on: each is one deployment (see occ host default). Said again, "
            "or NAME,NAME: several, side by side.",
            show_default=DEFAULT_STACK,
        ),
    ] = None,
    _group: Annotated[
        str | None,
        typer.Option("--group", metavar="NAME", help="Every stack whose setting groups names it."),
    ] = None,
    _every: Annotated[
        Flag, typer.Option("--all", help="Every stack that has settings here.")
    ] = None,
    _parallel: Annotated[
        int | None,
        typer.Option(
            "--parallel", metavar="NUMBER", min=1, help="How many of several work at once."
        ),
    ] = None,
    json: Annotated[Flag, typer.Option("--json", help="Results as JSON.")] = None,
    quiet: Annotated[
        Flag, typer.Option("--quiet", "-q", help="Results and errors alone; never asks.")
    ] = None,
    no_color: Annotated[
        Flag, typer.Option("--no-color", help="No colours (so does NO_COLOR).")
    ] = None,
    yes: Annotated[Flag, typer.Option("--yes", "-y", help="Yes to every question.")] = None,
    verbose: Annotated[
        Flag, typer.Option("--verbose", help="Say what the Docker engine is asked.")
    ] = None,
    _version: Annotated[
        Flag,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="The version of occ itself."
        ),
    ] = None,
) -> None:
    """Take global options where they stand: before the command, or among its own."""
    given = {
        "host": host,
        "json": json,
        "quiet": quiet,
        "no_color": no_color,
        "yes": yes,
        "verbose": verbose,
    }
    said = {name: value for name, value in given.items() if value is not None}
    if not host:
        said["host"] = default_host.read()
    context.obj = replace(options_of(context), **said)


@lru_cache(maxsize=1)
def _declared() -> list[TyperOption]:
    """Give the parameters of `take`."""
    app = typer.Typer(add_completion=False)
    app.command()(take)
    params = typer.main.get_command(app).params
    return [param for param in params if isinstance(param, TyperOption) and param.name != "help"]


def _among_its_own(params: list[Any]) -> list[Any]:
    """Add the global options to a command's parameters: taken there too, not shown again."""
    taken = {word for param in params for word in param.opts}
    return params + [_hidden(each) for each in _declared() if taken.isdisjoint(each.opts)]


def _hidden(declared: TyperOption) -> TyperOption:
    option = copy(declared)
    option.hidden = True
    option.expose_value = False
    # Read once, before the command.
    option.envvar = None
    option.callback = option.callback or _note
    return option


def _note(context: Any, option: Any, value: Any) -> Any:
    # Those that choose several were taken out where several are worked on.
    if value is not None and option.name in Options.__dataclass_fields__:
        context.obj = replace(options_of(context), **{option.name: value})
    return value


class InterruptedWithWordsError(Exception):
    """An interruption, and what there is to say of it."""


class Command(TyperCommand):
    """A command that takes the global options after its name as well."""

    def __init__(self, **settings: Any) -> None:
        settings["params"] = _among_its_own(settings.get("params") or [])
        super().__init__(**settings)

    def invoke(self, ctx: Any) -> Any:
        """Run it; an interruption keeps its words, which Typer would make an exit code of."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise InterruptedWithWordsError(str(interrupt)) from None


class Group(TyperGroup):
    """Commands about one noun; takes the global options after its name as well."""

    def __init__(self, **settings: Any) -> None:
        settings["params"] = _among_its_own(settings.get("params") or [])
        super().__init__(**settings)


def with_globals(app: typer.Typer) -> None:
    """Have every command and every group below `app` take the global options.

    In a list of commands, each is said in the first clause of its help.
    """
    for command in app.registered_commands:
        command.cls = Command
        command.short_help = _first_clause((command.callback and command.callback.__doc__) or "")
    for group in app.registered_groups:
        if group.typer_instance:
            group.typer_instance.info.cls = Group
            group.typer_instance.info.short_help = _first_clause(
                str(group.typer_instance.info.help)
            )
            with_globals(group.typer_instance)


def _first_clause(text: str) -> str:
    return re.split(r"[.:;]", text, maxsplit=1)[0].strip()


def examples(*lines: str) -> str:
    """Write the end of a command's help: one example a line."""
    # The mark keeps the lines apart, where a paragraph would be filled.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def words(error: typer.TyperException) -> str:
    """Say what was mistyped, and where to look."""
    said = error.format_message()
    context = getattr(error, "ctx", None)
    option = getattr(error, "option_name", "")
    if option and context and said.startswith("No such option"):
        known = [word for param in context.command.params for word in param.opts]
        close = difflib.get_close_matches(option, known, n=1)
        said = f"No such option: {option}." + (f" Did you mean {close[0]}?" if close else "")
    end = "" if said.endswith((".", "?")) else "."
    return f"{said}{end} See: {context.command_path if context else 'occ'} --help"
