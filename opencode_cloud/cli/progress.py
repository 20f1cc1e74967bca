"""What a long operation tells the person in front."""

import sys

from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.options import Options


class Reporting:
    """Shows progress on one live line, and notes above it."""

    def __init__(self, line: LiveLine, options: Options) -> None:
        self._line = line
        self._quiet = options.quiet

    def progress(self, text: str) -> None:
        """Say what is being done now; the next text takes its place."""
        self._line(text)

    def note(self, text: str) -> None:
        """Say something that stays to be read."""
        if not self._quiet:
            self._line.clear()
            print(text, file=sys.stderr)
