"""Says how the program would get its image: JSON settings in, JSON recipe out.

Run by the environment's Python, which may be another than the one that runs ``./start``: the
settings model takes more than the standard library.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opencode_cloud.configuration import SettingsError, load
from opencode_cloud.spec.image import BuiltImage, KeptImage, image_spec


def recipe(settings: Mapping[str, str], stack: str, project: str) -> dict[str, Any]:
    """Give the recipe.

    Raises:
        SettingsError: the settings cannot be used.
    """
    spec = image_spec(load(settings, stack), stack, Path(project))
    found = {"reference": spec.reference, "kept": isinstance(spec, KeptImage)}
    if isinstance(spec, BuiltImage):
        found |= {
            "context": str(spec.context),
            "build_args": spec.build_args,
            "sent": spec.is_sent,
        }
    return found


def main() -> str | None:
    """Read ``{"settings", "stack", "project"}``; give what is wrong with the settings."""
    try:
        print(json.dumps(recipe(**json.load(sys.stdin))))
    except SettingsError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
