"""Programs that are no part of a package, because they run where ours is not."""

import importlib.util
from pathlib import Path
from types import ModuleType


def imported(script: Path) -> ModuleType:
    """Import one, anew each time."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
