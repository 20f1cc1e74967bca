"""Making a deployment what its settings say."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.options import Options
from opencode_cloud.cli.progress import Reporting

if TYPE_CHECKING:
    from opencode_cloud.ops.program import Program
    from opencode_cloud.start.steps.image import Anew

HEALTHY_SECONDS = 120
"""A container that was replaced may have a database to bring up to date."""


def apply(
    options: Options,
    program: "Program",
    what: str,
    *,
    config_file: Path | None = None,
    anew: "Anew | None" = None,
) -> None:
    """Have Pulumi apply the settings, wait until opencode answers, and say so.

    Args:
        options: of the command.
        program: the stack.
        what: the command, as typed, for whoever finds the stack in use.
        config_file: settings for this time alone.
        anew: have the image pulled or built once more before.

    Raises:
        OpencodeCloudError: it cannot be done; with what is in the way.
    """
    from opencode_cloud.ops import image_refresh, lifecycle, lock, ports

    began = time.monotonic()
    since = datetime.now(UTC)
    with (
        lock.changing(program.paths, program.stack, what),
        LiveLine(f"Applying the settings of {program.stack}{options.there}", options) as line,
    ):
        report = Reporting(line, options)
        settings = program.settings(config_file)
        # Before the container goes that another one could not take the place of.
        ports.require_free(settings, program.stack, options.engine(), options.docker_host())
        if anew:
            changed = image_refresh.refresh(program, anew, report, config_file)
        else:
            changed = program.up(report, config_file=config_file)
        deployment = options.deployment()
        if not deployment.is_running:
            lifecycle.start(deployment, line)
        else:
            # Pulumi starts a container that was stopped, and not its unit.
            lifecycle.supervise(deployment)
            lifecycle.wait_healthy(deployment, line, since, HEALTHY_SECONDS)
    took = time.monotonic() - began
    count = "1 resource" if changed == 1 else f"{changed} resources"
    did = f"Applied: {count} changed" if changed else "Nothing was to be changed"
    # Beside a command's JSON, it is for people.
    text = f"{did}. opencode answers at {deployment.url}{options.there} ({took:.0f} s)"
    if not options.quiet:
        print(text, file=sys.stderr if options.json else sys.stdout)


def apply_or_say_how(options: Options, what: str, *, now: bool) -> None:
    """Apply what was written to a stack's file: when asked for or agreed to, else say how.

    Args:
        options: of the command.
        what: the command, as typed.
        now: whether the command line asked for it.
    """
    from opencode_cloud.cli.asking import agrees
    from opencode_cloud.ops.program import program_of

    asks = options.can_ask and not options.json and not options.yes
    if now or (asks and agrees("Apply it now? [y/N]")):
        apply(options, program_of(options.host, options.trace), what)
        return
    if not options.quiet:
        out = sys.stderr if options.json else sys.stdout
        print(f"To apply it: {options.occ('start')}", file=out)
