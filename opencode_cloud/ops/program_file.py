"""The Pulumi program, run from a project of somebody else's, such as one that `pulumi new` made."""

import runpy
import sys

from opencode_cloud.ops import project


def run() -> None:
    """Run the program that this package carries, in Pulumi's process.

    Raises:
        OperationError: this installation cannot run it; says how to install it.
    """
    folder = project.root()
    # Its own modules are beside it.
    sys.path.insert(0, str(folder))
    runpy.run_path(str(folder / "__main__.py"), run_name="__main__")
