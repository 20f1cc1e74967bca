"""Compares a deployment with its settings, and remembers what was found while neither changes.

What knows the settings takes longer to load than all else that `occ status` does.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opencode_cloud import __version__
from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.ops import project
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.drift import (
    APPLIED,
    CHANGED,
    UNKNOWN,
    Difference,
    Drift,
    drift,
    image_drift,
)
from opencode_cloud.start import stack_file
from opencode_cloud.start.paths import Paths

_PACKAGE = Path(__file__).parents[1]
_OF_CONTAINER = ("Id", "Image", "Config", "HostConfig")


def look(deployment: Deployment) -> Drift:
    """Compare a deployment with the settings that its stack has here."""
    stack = deployment.stack
    paths = Paths.of(project.folder(), os.environ)
    if not paths.stack_file(stack).is_file():
        return Drift(state=UNKNOWN, reason="the settings of this stack are kept elsewhere")
    return remembered(paths, stack, deployment.facts, lambda: _compare(deployment))


def _compare(deployment: Deployment) -> Drift:
    from opencode_cloud.ops.environment import environment_in
    from opencode_cloud.ops.program import program_of
    from opencode_cloud.ops.settings_file import StackFile
    from opencode_cloud.spec.container import container_spec
    from opencode_cloud.spec.image import image_spec

    stack = deployment.stack
    try:
        program = program_of(stack)
        settings = program.settings()
        given = environment_in(StackFile(program.paths.root, stack).read())
        recipe = image_spec(settings, stack, program.paths.root)
        image = deployment.engine.get(f"/images/{deployment.facts['Image']}/json")
    except (OpencodeCloudError, OSError) as error:
        return Drift(state=UNKNOWN, reason=str(error))
    spec = container_spec(settings, stack, given)
    found = [*image_drift(recipe, image), *drift(spec, deployment.facts)]
    noted = program.paths.applied(stack).is_file()
    if not found and spec.secrets and noted and not program.is_applied:
        # Of secrets, the container shows nothing to compare.
        found = [Difference(name="secrets", settings="edited since", container="")]
    return Drift(state=CHANGED if found else APPLIED, differences=found)


def remembered(
    paths: Paths, stack: str, facts: Mapping[str, Any], compare: Callable[[], Drift]
) -> Drift:
    """Give what was found of the same settings and container before, or else compare them."""
    note = paths.cache / "drift" / f"{stack}.json"
    key = _key(paths, stack, facts)
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(note.read_text())
        if said["key"] == key:
            differences = [Difference(**each) for each in said["drift"].pop("differences")]
            return Drift(**said["drift"], differences=differences)
    found = compare()
    if found.state == UNKNOWN:
        return found
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = note.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps({"key": key, "drift": asdict(found)}))
        unfinished.replace(note)
    return found


def _key(paths: Paths, stack: str, facts: Mapping[str, Any]) -> str:
    """Give what changes with anything that the comparison looks at."""
    file = paths.stack_file(stack)
    authorities = stack_file.read(file).get("extra_ca_file", "")
    seen = (
        *(__version__, str(paths.root)),
        file.read_text(errors="replace"),
        json.dumps({name: facts.get(name) for name in _OF_CONTAINER}, sort_keys=True),
        # The engine lists them in another order each time.
        *sorted(json.dumps(mount, sort_keys=True) for mount in facts.get("Mounts") or ()),
        *_traces(_PACKAGE, "*.py"),
        *_traces(_PACKAGE / "spec", "*.py"),
        *_traces(paths.root / "docker", "**/*"),
        *(_trace(path) for path in (Path(authorities), paths.applied(stack)) if path.name),
    )
    return hashlib.sha256("\0".join(seen).encode()).hexdigest()


def _traces(folder: Path, pattern: str) -> Iterator[str]:
    yield from (_trace(path) for path in sorted(folder.glob(pattern)))


def _trace(path: Path) -> str:
    """Tell one content of a file from others, without reading it."""
    try:
        found = path.stat()
    except OSError:
        return str(path)
    if path.is_dir():
        return str(path)
    return f"{path} {found.st_mtime_ns} {found.st_size} {found.st_mode}"
