"""`occ host`: machines over SSH, each with a deployment of its own."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.changing import print_json
from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.host_add import add
from opencode_cloud.cli.host_edit import edit
from opencode_cloud.cli.host_options import Name, Wait
from opencode_cloud.cli.host_visit import NOTHING, print_findings
from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.main import DONE, FAILED
from opencode_cloud.cli.options import Options, options_of, refuse_json
from opencode_cloud.ops import default_host, project
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.ops.hosts.reports import Listed
    from opencode_cloud.spec.host_probe.facts import Facts


def list_hosts(
    context: typer.Context,
    group: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Those of one group alone.")
    ] = None,
) -> None:
    """List the hosts, and what each says; one that does not answer in 8 s is not waited for."""
    from opencode_cloud.ops.hosts.registry import hosts
    from opencode_cloud.ops.hosts.reports import listed

    options = options_of(context)
    wanted = [each for each in hosts(project.folder()) if group is None or group in each.groups]
    found = listed(wanted)
    if options.json:
        print_json(found)
        return
    rows = [(each.name, each.where, ",".join(each.groups) or "-", _said(each)) for each in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    if not found:
        whose = f"There is no host in the group {group}." if group else "There is no host yet."
        options.say(f"{whose} To add one: occ host add NAME [USER@]HOSTNAME")


def _said(each: "Listed") -> str:
    facts = [_summary(each.facts)] if each.facts else []
    if not each.reachable:
        reason = each.why.partition(". ")[0]
        since = f" (as it was at {each.looked_at}: {facts[0]})" if facts else ""
        return f"not reachable: {reason}{since}"
    default = ["the default"] if each.default else []
    return "; ".join((*facts, *default))


def _summary(facts: "Facts") -> str:
    engine = facts.docker
    docker = f"Docker {engine.version}{' rootless' if engine.rootless else ''}" if engine else ""
    deployment = f"deployment: {facts.deployment}" if facts.deployment else "no deployment"
    return "; ".join((facts.os.name, docker or "no Docker to use", deployment))


def show(context: typer.Context, name: Name) -> None:
    """Show what is known of a host here: how it is reached, its key, what was last seen of it."""
    from opencode_cloud.ops.hosts import reports
    from opencode_cloud.ops.hosts.registry import host_of

    options = options_of(context)
    host = host_of(project.folder(), name)
    found = reports.shown(host)
    if options.json:
        print_json(found)
        return
    rows = [
        ("Host", f"{found.name}{' (the default)' if found.default else ''}"),
        ("Where", found.where),
        ("By hand", found.command),
        ("Groups", ", ".join(found.groups)),
        *(("Host key", str(key)) for key in found.host_keys),
        ("Docker", found.docker_socket),
        ("Settings", found.file),
        ("Looked at", found.looked_at or f"never; to look: occ host test {name}"),
        ("", _summary(found.facts) if found.facts else ""),
    ]
    for title, value in rows:
        if value:
            print(f"{title:<11}{value}")


def look(context: typer.Context, name: Name, wait: Wait = 0) -> None:
    """Look at a host: connection, system, clock, memory, disk, port, Docker.

    Changes nothing. Exit code: 0 when something can be deployed there, 1 otherwise.
    """
    from opencode_cloud.ops.hosts.registry import host_of
    from opencode_cloud.ops.hosts.reports import tested

    options = options_of(context)
    host = host_of(project.folder(), name)
    with LiveLine(name, options) as line:
        found = tested(host, wait=wait, say=line)
    if options.json:
        print_json(found)
    else:
        rows = [each for each in found.findings if not options.quiet or each.outcome != "ok"]
        print_findings(rows, options)
    raise typer.Exit(DONE if found.well else FAILED)


def default(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The host to mean.", show_default=False),
    ] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Mean `local` again.")] = False,
) -> None:
    """Say which host is meant where neither --host nor OPENCODE_STACK names one, or choose it."""
    from opencode_cloud.ops.hosts.registry import require_stack

    options = options_of(context)
    refuse_json(options, "host default")
    if name and unset:
        raise typer.BadParameter("NAME chooses a host and --unset none: use one of the two.")
    if not name and not unset:
        print(default_host.read())
        return
    chosen = name or project.DEFAULT_STACK
    require_stack(project.folder(), chosen)
    default_host.write(chosen)
    options.say(f"Commands that name no host are about {chosen!r} from now on.")


def remove(
    context: typer.Context,
    name: Name,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="The host is gone for good: do not ask it, and forget its state too."
        ),
    ] = False,
) -> None:
    """Remove a host from here; refused while a deployment is on it. What is on it stays there."""
    from opencode_cloud.ops.hosts import removal
    from opencode_cloud.ops.hosts.registry import host_of

    options = options_of(context)
    refuse_json(options, "host remove")
    host = host_of(project.root(), name)
    volumes = () if forget else removal.require_unused(host)
    secrets = removal.secrets(host)
    what = f"This removes the settings in {host.file}"
    what += f", and the secrets {', '.join(secrets)}, which are nowhere else" if secrets else ""
    what += ". Whatever is on the host stays there."
    _confirm(options, what, f"occ host remove {name}{' --forget' if forget else ''} --yes")
    left = removal.remove(host, forget=forget)
    options.say(f"The host {name!r} is removed.")
    if volumes:
        options.say(f"Data stays on it, in the volumes {', '.join(volumes)}.")
    for command in left:
        options.say(f"Pulumi's state is not kept here; there: {command}")


def _confirm(options: Options, what: str, command: str) -> None:
    if options.yes:
        return
    if not options.can_ask:
        raise OperationError(f"{what} There is nobody to ask. Say so: {command}")
    print(what, file=sys.stderr)
    if not agrees("Remove it? [y/N]"):
        raise OperationError(NOTHING)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    nouns = typer.Typer(
        name="host",
        help="Machines over SSH: each is a stack, with a deployment of its own.",
        no_args_is_help=True,
        epilog=examples("occ host add box ada@box.example.org", "occ host list"),
    )
    shown = {
        "add": (
            add,
            "occ host add box ada@box.example.org",
            "occ host add box ada@10.0.0.5 --jump ada@gate.example.org --group office",
            "occ host add box root@203.0.113.7 --identity ~/.ssh/box --install-docker",
            "occ host add box ada@box --host-key 'ssh-ed25519 AAAA…' --yes",
        ),
        "show": (show, "occ host show box", "occ host show box --json"),
        "edit": (
            edit,
            "occ host edit box --hostname 203.0.113.8",
            "occ host edit box --accept-host-key",
            "occ host edit box --group office --group test",
        ),
        "remove": (remove, "occ host remove box", "occ host remove box --forget --yes"),
        "test": (look, "occ host test box", "occ host test box --wait 300 --json"),
        "default": (default, "occ host default box", "occ host default --unset"),
        "list": (list_hosts, "occ host list", "occ host list --group office --json"),
    }
    for name, (function, *lines) in shown.items():
        nouns.command(name, epilog=examples(*lines))(function)
    app.add_typer(nouns)
