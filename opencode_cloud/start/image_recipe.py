"""Says how the program would get its image: JSON settings in, JSON recipe out.

Run by the environment's Python, not by the one that runs ``./start``: the settings
model takes more than the standard library.
"""

import json
import sys
from pathlib import Path

from opencode_cloud.settings import SettingsError, load
from opencode_cloud.spec.image import BuiltImage, KeptImage, image_spec


def main() -> str | None:
    """Read ``{"settings", "stack", "project"}``; give what is wrong with the settings."""
    asked = json.load(sys.stdin)
    try:
        settings = load(asked["settings"], asked["stack"])
    except SettingsError as error:
        return str(error)
    spec = image_spec(settings, asked["stack"], Path(asked["project"]))
    recipe = {"reference": spec.reference, "kept": isinstance(spec, KeptImage)}
    if isinstance(spec, BuiltImage):
        recipe |= {
            "context": str(spec.context),
            "build_args": spec.build_args,
            "sent": spec.is_sent,
        }
    print(json.dumps(recipe))
    return None


if __name__ == "__main__":
    sys.exit(main())
