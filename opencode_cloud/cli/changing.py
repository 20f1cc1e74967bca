"""What every command does that changes a stack's file: say what that means, ask, write, apply."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opencode_cloud.cli.applying import apply_or_say_how
from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.options import Options
from opencode_cloud.ops import project
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.ops.stack_change import Change, Difference

Apply = Annotated[bool, typer.Option("--apply", help="Apply it to the deployment at once.")]


def stack_file(options: Options) -> "StackFile":
    """Give the file of the stack that is meant."""
    from opencode_cloud.ops.settings_file import StackFile

    return StackFile(project.root(), options.host)


def make(options: Options, file: "StackFile", change: "Change", yes: str, *, apply: bool) -> None:
    """Say what a change means, ask, make it, and say what comes next.

    Args:
        options: of the command.
        file: of the stack.
        change: what to write.
        yes: the command that does the same without asking.
        apply: whether the deployment gets it at once.
    """
    from opencode_cloud.ops.stack_change import Written

    command = options.occ("start") if change.can_be_applied else None
    if change.is_none:
        tell(options, f"{file.name} says so already. Nothing was changed.")
    else:
        _explain(options, change)
        _ask(options, change, yes)
        file.write(change)
        tell(options, f"Written to {file.name}.")
    if options.json:
        print_json(Written(file.stack, file.name, change.differences, change.impact, command))
    for problem in change.problems:
        print(f"Still in the way: {problem}", file=sys.stderr)
    if command:
        apply_or_say_how(options, yes.removesuffix(" --yes"), now=apply)


def _explain(options: Options, change: "Change") -> None:
    for difference in change.differences:
        tell(options, f"{difference.key}: {_turn(difference)}")
    if change.impact:
        tell(options, "\n  ".join(("When it is applied:", *change.impact.meaning)))
    elif not change.problems:
        tell(options, "What this needs cannot be told here: `pulumi preview` shows it.")


def _turn(difference: "Difference") -> str:
    from opencode_cloud.ops.stack_document import ENCRYPTED

    if difference.new == ENCRYPTED:
        return f"{ENCRYPTED}, {'a new value' if difference.old else 'new'}"
    return f"{_said(difference.key, difference.old)} -> {_said(difference.key, difference.new)}"


def _said(key: str, value: str | None) -> str:
    from opencode_cloud.ops.setting_names import default
    from opencode_cloud.ops.stack_document import ENCRYPTED

    if value is not None:
        return value if value == ENCRYPTED else repr(value)
    standard = default(key)
    return "nothing" if standard is None else f"{standard!r} (default)"


def _ask(options: Options, change: "Change", command: str) -> None:
    from opencode_cloud.ops.impact import Need

    if options.yes or change.need is not Need.DATA:
        # What can be undone is asked about when it is applied.
        return
    if options.can_ask:
        if not agrees("Write it? [y/N]"):
            raise OperationError("Nothing was changed.")
        return
    meaning = " ".join(change.impact.meaning) if change.impact else ""
    raise OperationError(
        f"{meaning}\nThere is nobody to ask whether that is meant. Say so: {command}"
    )


def tell(options: Options, text: str) -> None:
    """Print what is good to know, beside the JSON that programs read."""
    if not options.quiet:
        print(text, file=sys.stderr if options.json else sys.stdout)


def print_json(found: Any) -> None:
    """Print a result for programs."""
    from pydantic import TypeAdapter

    print(TypeAdapter(type(found)).dump_json(found, indent=2).decode())
