"""`occ config`: the settings of a stack, in the file where Pulumi has them too."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli import mount
from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.changing import Apply, make, print_json, stack_file
from opencode_cloud.cli.commands import Command, Group, examples
from opencode_cloud.cli.main import complain
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.configuration import Problem
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.ops.stack_change import Change
    from opencode_cloud.ops.stack_document import Document
    from opencode_cloud.ops.stack_overview import Overview

# What knows the settings takes 0.1 s to import, and is so only where it is used.

app = typer.Typer(
    name="config",
    cls=Group,
    help="The settings of a stack: what its deployment is to be.",
    no_args_is_help=True,
    epilog=examples("occ config show", "occ config set port 8080", "occ config edit"),
)


def _complete(incomplete: str) -> list[str]:
    from opencode_cloud.settings import Settings

    return [name for name in Settings.model_fields if name.startswith(incomplete)]


Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="A setting, as `occ config show` lists it.",
        autocompletion=_complete,
        show_default=False,
    ),
]
Value = Annotated[str, typer.Argument(metavar="VALUE", help="Its new value.", show_default=False)]


@app.command(cls=Command, epilog=examples("occ config show", "occ config show --json"))
def show(context: typer.Context) -> None:
    """Show every setting: its value, where that comes from, and what it means."""
    from opencode_cloud.ops import stack_overview

    options = options_of(context)
    file = stack_file(options)
    found = stack_overview.overview(file.read(), file.stack)
    if options.json:
        print_json(found)
    else:
        _print_settings(found, options)
    if found.problems:
        _refuse(found.problems, file.stack)


@app.command(cls=Command, epilog=examples("occ config get port"))
def get(context: typer.Context, key: Key) -> None:
    """Print the value of one setting, and nothing else."""
    from opencode_cloud.configuration import as_config
    from opencode_cloud.ops import setting_names, stack_overview

    options = options_of(context)
    file = stack_file(options)
    row = stack_overview.row(file.read(), setting_names.setting_name(key))
    if options.json:
        print_json(row)
    elif row.value is None:
        raise OperationError(
            f"{row.key} is encrypted. To see it: pulumi config get {row.key} -s {file.stack}"
        )
    else:
        print(as_config(row.value))


@app.command(
    "set",
    cls=Command,
    epilog=examples("occ config set port 8080", "occ config set rate-limit-attempts 10 --yes"),
)
def set_(context: typer.Context, key: Key, value: Value, apply: Apply = False) -> None:
    """Give a setting a value, after saying what that means for the deployment."""
    from opencode_cloud.ops import setting_names, stack_change

    options = options_of(context)
    file = stack_file(options)
    document = file.read()
    name = setting_names.setting_name(key)
    command = options.occ("config", "set", name, shlex.quote(value), "--yes")
    if name == "mounts":
        value = mount.as_agreed(options, value, command)
    change = stack_change.set_value(document, file.stack, name, value)
    make(options, file, change, command, apply=apply)


@app.command(cls=Command, epilog=examples("occ config unset port"))
def unset(context: typer.Context, key: Key, apply: Apply = False) -> None:
    """Let a setting have its default again, after saying what that means."""
    from opencode_cloud.ops import stack_change

    options = options_of(context)
    file = stack_file(options)
    change = stack_change.unset(file.read(), file.stack, key)
    command = options.occ("config", "unset", shlex.quote(key), "--yes")
    make(options, file, change, command, apply=apply)


@app.command(cls=Command, epilog=examples("occ config edit", "EDITOR=nano occ config edit"))
def edit(context: typer.Context, apply: Apply = False) -> None:
    """Open the settings in $VISUAL or $EDITOR; they are checked before they take effect."""
    options = options_of(context)
    file = stack_file(options)
    change = _edit(options, file, file.read())
    make(options, file, change, options.occ("config", "edit", "--yes"), apply=apply)


@app.command(cls=Command, epilog=examples("occ config schema > stack.schema.json"))
def schema() -> None:
    """Print the JSON schema of a stack's file, for editors and other programs."""
    from opencode_cloud.derive import stack_schema

    print(json.dumps(stack_schema(), indent=2))


def _refuse(problems: "list[Problem]", stack: str) -> None:
    from opencode_cloud.configuration import SettingsError

    raise SettingsError(stack, problems)


def _edit(options: Options, file: "StackFile", before: "Document") -> "Change":
    import tempfile

    from opencode_cloud.configuration import SettingsError
    from opencode_cloud.ops import stack_change
    from opencode_cloud.ops.stack_document import StackConfigError

    editor = _editor(options)
    with tempfile.TemporaryDirectory(prefix="occ-") as folder:
        # Of the same name, by which editors know what is in it.
        draft = Path(folder) / file.path.name
        draft.write_bytes(before.text.encode())
        while True:
            _run(editor, draft)
            try:
                return stack_change.edited(before, _text(draft), file.stack)
            except (SettingsError, StackConfigError) as error:
                if options.yes or not options.can_ask:
                    raise
                complain(str(error))
            if not agrees("Edit again? [Y/n]", default=True):
                raise OperationError("Nothing was changed.")


def _editor(options: Options) -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if named:
        return shlex.split(named)
    found = next(filter(shutil.which, ("editor", "nano", "vi")), None)
    if found and options.can_ask:
        return [found]
    raise OperationError(
        "There is no editor to open: say which, or set one setting at a time.\n"
        f"  EDITOR=nano {options.occ('config', 'edit')}\n  {options.occ('config', 'set KEY VALUE')}"
    )


def _run(editor: list[str], draft: Path) -> None:
    try:
        code = subprocess.run([*editor, str(draft)], check=False).returncode
    except OSError as error:
        raise OperationError(
            f"The editor {editor[0]!r} cannot be run: {error.strerror}. "
            "$VISUAL or $EDITOR names the one to use."
        ) from None
    if code:
        raise OperationError(f"The editor {editor[0]!r} failed ({code}): nothing was changed.")


def _text(draft: Path) -> str:
    try:
        return draft.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"What was edited cannot be read: {error}") from None


def _print_settings(found: "Overview", options: Options) -> None:
    import textwrap

    from opencode_cloud.configuration import as_config
    from opencode_cloud.ops.setting_names import default
    from opencode_cloud.ops.stack_document import ENCRYPTED

    bold, plain = ("\x1b[1m", "\x1b[0m") if options.color and sys.stdout.isatty() else ("", "")
    width = min(shutil.get_terminal_size().columns, 100)
    for row in found.settings:
        value = ENCRYPTED if row.value is None else as_config(row.value)
        source = "default"
        if row.source == "stack":
            source = f"from {found.file}; default: {default(row.key) or 'empty'}"
        print(f"{bold}{row.key}{plain} = {value or '(empty)'}  ({source})")
        meaning = row.description.replace("`", "")
        print(textwrap.fill(meaning, width, initial_indent="    ", subsequent_indent="    "))


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app)
