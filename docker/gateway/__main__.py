"""`python3 -m gateway FOLDER` writes nginx's changing parts; `has-tls` answers by its exit code."""

import os
import sys
from pathlib import Path

from gateway.networks import gateways
from gateway.nginx import render
from gateway.settings import SettingsError, load


def main(argument: str) -> int:
    """Do what `argument` says; gives the exit code."""
    try:
        settings = load(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"init         | {error}\n")
        return 2
    if argument == "has-tls":
        return 0 if settings.has_tls else 1
    for name, text in render(settings, gateways()).items():
        Path(argument, name).write_text(text, encoding="ascii")
    return 0


sys.exit(main(sys.argv[1]))
