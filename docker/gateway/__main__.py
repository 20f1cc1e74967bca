"""`python3 -m gateway FOLDER` writes nginx's changing parts there, as the environment has it."""

import os
import sys
from pathlib import Path

from gateway.networks import gateways
from gateway.nginx import render
from gateway.settings import SettingsError, load


def main(folder: Path) -> int:
    """Write them; gives the exit code."""
    try:
        settings = load(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    for name, text in render(settings, gateways()).items():
        (folder / name).write_text(text, encoding="ascii")
    return 0


sys.exit(main(Path(sys.argv[1])))
