"""Writes the buttons' templates of a release: with its image as the default of their parameter.

python tools/release_templates.py REPOSITORY@sha256:DIGEST FOLDER
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from opencode_cloud.spec.buttons import arm, cloudformation  # noqa: E402
from opencode_cloud.spec.buttons.described import IMAGE_PATTERN  # noqa: E402


def write(image: str, folder: Path) -> None:
    """Write them.

    Raises:
        ValueError: the image is not named by its digest.
    """
    if not re.fullmatch(IMAGE_PATTERN, image):
        raise ValueError(f"{image!r} is not REPOSITORY@sha256:DIGEST")
    folder.mkdir(parents=True, exist_ok=True)
    stack = cloudformation.document(ROOT)
    stack["Parameters"]["Image"]["Default"] = image
    (folder / "cloudformation.yaml").write_text(cloudformation.text(stack))
    template = arm.document(ROOT)
    template["parameters"]["image"]["defaultValue"] = image
    (folder / "mainTemplate.json").write_text(json.dumps(template, indent=2) + "\n")
    (folder / "createUiDefinition.json").write_text(arm.form(image))


def main() -> int:
    """Write them, as a command."""
    try:
        image, folder = sys.argv[1:]
        write(image, Path(folder))
    except ValueError as error:
        print(f"{error}\n{__doc__}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
