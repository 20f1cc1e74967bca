"""`occ cost`: what a rented machine costs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.options import Options, options_of
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.cloud_settings import Target
    from opencode_cloud.spec.cost import Estimate

Provider = Annotated[
    str | None,
    typer.Argument(
        metavar="[PROVIDER]",
        help="aws, gcp, azure or digitalocean. Without it: the machine of --host.",
        show_default=False,
    ),
]
Size = Annotated[
    str | None,
    typer.Option("--size", help="Kind of machine. Without it: the usual one.", show_default=False),
]
Disk = Annotated[
    int | None,
    typer.Option("--disk", metavar="GB", help="Size of the data disk.", show_default=False),
]


def cost(
    context: typer.Context, provider: Provider = None, size: Size = None, disk: Disk = None
) -> None:
    """Estimate what a rented machine costs a month, from a list of prices with dates and sources.

    Nothing is asked of a provider, and what is billed by use is named and not counted.
    """
    from opencode_cloud.ops.costs import estimate_for, of_stack

    options = options_of(context)
    if provider is None:
        found = of_stack(options.host, size, disk)
    else:
        found = estimate_for(_target(provider), size, disk)
    if options.json:
        print(json.dumps(asdict(found)))
        return
    _show(found, options)


def _target(word: str) -> "Target":
    from opencode_cloud.cloud_settings import CLOUDS, Target

    if word in CLOUDS:
        return Target(word)
    raise OperationError(
        f"{word} is none of the providers that rent out a machine here: {', '.join(CLOUDS)}."
    )


def _show(found: "Estimate", options: Options) -> None:
    wide = max(len(line.what) for line in found.lines)
    for line in (*found.lines, None):
        what, amount = (line.what, line.monthly) if line else ("together", found.monthly)
        about = f"{line.dated}  {line.source}" if line else ""
        print(f"{what:<{wide}}  {_amount(amount):>8}  {about}".rstrip())
    options.say(
        f"US dollars a month by list, of {found.region}, without tax. Not counted: "
        f"{', '.join(found.not_counted)}."
    )


def _amount(monthly: float | None) -> str:
    return "unknown" if monthly is None else f"{monthly:.2f}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ cost digitalocean",
            "occ cost aws --size t4g.medium --disk 100",
            "occ --host prod cost --json",
        )
    )(cost)
