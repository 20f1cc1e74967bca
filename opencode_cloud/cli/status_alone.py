"""`occ status`, without all other commands: it is asked for often, and waits for what is loaded.

Loading what parses commands takes as long as all that is asked of Docker. The few words that people
and scripts use are understood here; whatever else there is goes to the parser.
"""

import os
from collections.abc import Sequence

from opencode_cloud.cli.options import Options
from opencode_cloud.ops import default_host

_FLAGS = {"--json": "json", "--quiet": "quiet", "-q": "quiet", "--no-color": "no_color"}


def call(arguments: Sequence[str], name: str) -> int:
    """Run it; gives its exit code."""
    if options := plain(arguments):
        from opencode_cloud.cli import status_view

        return status_view.show(options)
    from opencode_cloud.cli import assembly, status

    return assembly.call(assembly.assemble((status,)), arguments, name)


def plain(arguments: Sequence[str]) -> Options | None:
    """Understand the usual words, in any order; None: there are others."""
    host = os.environ.get("OPENCODE_STACK") or default_host.read()
    flags: dict[str, bool] = {}
    commands = 0
    words = iter(arguments)
    for word in words:
        if word == "status":
            commands += 1
        elif word in _FLAGS:
            flags[_FLAGS[word]] = True
        elif word == "--host":
            host = next(words, "")
        else:
            return None
    return Options(host=host, **flags) if commands == 1 and host else None
