"""Builds the AWS plugin of Pulumi from Go modules: ``python3 -m tools.aws.build``.

For the tests of the AWS stack alone (README.md). Prints the program's path on the last line of
stdout, and progress on stderr.
"""

import sys
from pathlib import Path

from tools.engine.build import BuildError, Part, Recipe, Report, build
from tools.engine.build import key as recipe_key

VERSION = "7.51.1"
"""Of the SDK on PyPI that it serves; main.go says the same."""
PLUGIN = Part("AWS plugin", "pulumi-resource-aws", ".")
AWS = Recipe("aws", Path(__file__).parent, (PLUGIN,))


def key() -> str:
    """Give what tells these sources, and so their plugin, from others."""
    return recipe_key(AWS.sources, AWS.parts)


def build_plugin(report: Report) -> Path:
    """Give the plugin, and build it first where it is missing. Raises ``BuildError``."""
    return build(report, AWS) / PLUGIN.program


def main() -> int:
    """Build, as a command."""
    try:
        print(build_plugin(lambda line: print(line, file=sys.stderr, flush=True)))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
