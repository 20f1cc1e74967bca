"""What `occ status` looks at and prints, without what parses commands."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opencode_cloud.cli.options import Options
from opencode_cloud.ops.errors import NoDeploymentError

if TYPE_CHECKING:
    from opencode_cloud.ops.status import Status


def look(options: Options) -> "Status":
    """Look at the deployment that is meant."""
    from opencode_cloud.ops.status import gather, missing

    try:
        deployment = options.deployment()
        found = gather(deployment, datetime.now(UTC))
    except NoDeploymentError as error:
        host = options.docker_host()
        return missing(options.host, str(error), host.name if host.is_remote else "")
    is_elsewhere = found.url and options.docker_host().is_remote and not deployment.public_name
    return replace(found, reach=options.occ("open")) if is_elsewhere else found


def show(options: Options) -> int:
    """Show it in the way that was asked for; gives the exit code."""
    found = look(options)
    if options.quiet:
        print(f"{found.state} {found.health}")
    elif options.json:
        print(json.dumps(found.as_json(), indent=None if not sys.stdout.isatty() else 2))
    elif sys.stdout.isatty():
        from opencode_cloud.cli import status_panel

        status_panel.console(options).print(status_panel.panel(found))
    else:
        from opencode_cloud.cli import status_rows

        print(status_rows.plain(found))
    return found.exit_code
