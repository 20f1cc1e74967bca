"""`occ uninstall`."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.uninstall_plan import Left, Plan


def uninstall(
    context: typer.Context,
    *,
    data: Annotated[
        bool, typer.Option("--data", help="Delete users, sessions and projects too.")
    ] = False,
    confirm: Annotated[
        str,
        typer.Option(
            "--confirm",
            metavar="STACK",
            help="The stack's name again, for --data where nobody can be asked.",
            show_default=False,
        ),
    ] = "",
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="With the last stack: Pulumi's state, passphrase and engine too."
        ),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Go on by Docker's labels alone where Pulumi cannot."),
    ] = False,
    unit: Annotated[
        bool,
        typer.Option("--unit", help="Remove the service unit alone; Docker restarts it again."),
    ] = False,
) -> None:
    """Remove a deployment: container, network, images built for it, stack and settings.

    Says first what that is, and asks. Users, sessions and projects stay, in their volumes,
    unless --data is given and the stack's name typed. Backups are never removed. Interrupted,
    it can be run again. Ends with what is left, where, and how to remove that too.
    """
    from opencode_cloud.cli.live_line import LiveLine
    from opencode_cloud.cli.progress import Reporting
    from opencode_cloud.ops import project, uninstall, uninstall_plan
    from opencode_cloud.ops.deployment import engine_of
    from opencode_cloud.ops.program import Program
    from opencode_cloud.start.paths import Paths

    options = options_of(context)
    _require_no_rent(options)
    refuse_json(options, "uninstall")
    if unit:
        if data or everything or force:
            raise typer.BadParameter("--unit removes the unit alone, and goes with nothing else.")
        _uninstall_unit(options)
        return
    paths = Paths.of(project.folder(), os.environ)
    engine = engine_of(options.host, paths.root, options.trace)
    program = Program(paths, options.host, options.trace)
    wish = uninstall.Wish(data=data, all=everything, force=force)
    if data and confirm and confirm != options.host:
        raise _wrong_name(options, confirm)
    # Asked now: its settings, which name its machine, go too.
    there = options.there
    plan = uninstall.plan(program, engine, wish)
    if plan.is_nothing:
        options.say(f"There is nothing of {options.host!r}{there} to remove.")
    else:
        _show(options, plan, there)
        _agree(options, plan, confirm)
        with LiveLine(f"Removing {options.host}{there}", options) as line:
            uninstall.carry_out(plan, program, engine, wish, Reporting(line, options))
        options.say(f"Removed {options.host}{there}.")
    left = list(uninstall_plan.left(paths, uninstall.again(plan, engine)))
    _show_left(options, left, there.removeprefix(" "))


def _require_no_rent(options: Options) -> None:
    from opencode_cloud.ops import project
    from opencode_cloud.ops.docker_host import rents

    if rents(options.host, project.folder()):
        raise OperationError(
            f"The stack {options.host!r} rents its machine, which goes with it, and Pulumi removes "
            f"that: pulumi destroy -s {options.host} --exclude-protected. The disk with the data "
            "stays; docs/deploy says how that is deleted."
        )


def _uninstall_unit(options: Options) -> None:
    """Have Docker restart the deployment again, and no unit."""
    from opencode_cloud.cli.changing import stack_file
    from opencode_cloud.cli.install import change_to
    from opencode_cloud.ops.service_unit import host_unit

    file = stack_file(options)
    before = file.read()
    after = before
    for name in ("service_unit", "boot_mode"):
        if name in after.entries:
            after = after.without(name)
    change_to(options, file, before, after, options.occ("uninstall", "--unit", "--yes"))
    unit = host_unit(options.host)
    # One that no state of Pulumi's knows.
    if left := unit.all():
        unit.remove()
        options.say(f"Removed {', '.join(each.file for each in left)}.")


def _show(options: Options, plan: "Plan", there: str) -> None:
    options.say(f"This removes, of the deployment {plan.stack!r}{there}:")
    for line in plan.lines:
        options.say(f"  {line}")
    if not plan.data:
        options.say("Users, sessions and projects stay, in their volumes. Backups stay.")


def _agree(options: Options, plan: "Plan", confirm: str) -> None:
    """Have it agreed to: data by its stack's name, all else by a yes.

    Raises:
        OperationError: it is not, or nobody can be asked.
    """
    from opencode_cloud.cli.asking import agrees

    if plan.data and not confirm:
        if not options.can_ask:
            raise OperationError(
                "--data deletes what people made, and --yes is not enough for that. There is "
                "nobody to ask; say the stack's name: "
                f"{options.occ('uninstall', '--data', '--confirm', plan.stack, '--yes')}"
            )
        print("There is no way back for the data.", file=sys.stderr)
        print(f"Type the stack's name, {plan.stack}, to delete it:", end=" ", file=sys.stderr)
        sys.stderr.flush()
        typed = sys.stdin.readline().strip()
        if typed != plan.stack:
            raise _wrong_name(options, typed)
        return
    if options.yes:
        return
    if not options.can_ask:
        named = ("--data", "--confirm", plan.stack) if plan.data else ()
        raise OperationError(
            "There is nobody to ask whether that is meant. Say so: "
            f"{options.occ('uninstall', *named, '--yes')}"
        )
    if not agrees("Remove it? [y/N]"):
        raise OperationError("Nothing was removed.")


def _wrong_name(options: Options, typed: str) -> OperationError:
    return OperationError(
        f"The stack's name is {options.host}, and not {typed!r}. Nothing was removed."
    )


def _show_left(options: Options, left: "list[Left]", there: str) -> None:
    if not left:
        options.say("Nothing of it is left.")
        return
    options.say("What is left, and how to remove it:")
    for each in left:
        options.say(f"  {each.what}")
        if each.remove:
            where = f"{there}: " if there and each.on_host else ""
            options.say(f"      {where}{each.remove}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ uninstall",
            "occ --host second uninstall --yes",
            "occ uninstall --data --confirm local --yes",
            "occ uninstall --unit",
        ),
    )(uninstall)
