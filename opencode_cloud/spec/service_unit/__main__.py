"""Print a unit with every setting at its default, for a system's own parser:

python -m opencode_cloud.spec.service_unit user|system|launchd|windows
"""

import sys

from opencode_cloud.configuration import load
from opencode_cloud.spec.service_unit.launchd import launchd_agent
from opencode_cloud.spec.service_unit.spec import service_unit_spec
from opencode_cloud.spec.service_unit.systemd import systemd_unit
from opencode_cloud.spec.service_unit.windows import windows_task

_WRITERS = {
    "user": systemd_unit,
    "system": systemd_unit,
    "launchd": launchd_agent,
    "windows": windows_task,
}


def main(words: list[str]) -> int:
    """Print it; 2: there is none of that name."""
    if len(words) != 1 or words[0] not in _WRITERS:
        print(f"give one of {', '.join(_WRITERS)}", file=sys.stderr)
        return 2
    mode = "system" if words[0] == "system" else "user"
    settings = {"image_source": "build", "service_unit": "true", "boot_mode": mode}
    spec = service_unit_spec(load(settings, "local"), "local")
    if spec is None:
        return 1
    print(_WRITERS[words[0]](spec))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
