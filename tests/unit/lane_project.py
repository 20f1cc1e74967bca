"""A project of a few tests, and the lanes that run them."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import lanes

SETTINGS = """
[pytest]
addopts = -q -p no:cacheprovider --import-mode=importlib
asyncio_default_fixture_loop_scope = function
"""
CONFTEST = """
from tests.conftest import pytest_addoption, pytest_configure
"""
PASSES = "def test_one(): pass\ndef test_two(): pass\n"


class Project:
    """Tests in a folder, and the runs over them."""

    FOLDERS = ("tests/unit", "tests/engine")

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PYTHONPATH": str(root), "PATH": paths}
        # Its own settings, and not those of whatever folder is above it.
        (folder / "pytest.ini").write_text(SETTINGS)
        (folder / "conftest.py").write_text(CONFTEST)
        for layer in ("unit", "engine"):
            (folder / "tests" / layer).mkdir(parents=True)

    def write(self, name: str, text: str) -> None:
        (self.folder / "tests" / name).write_text(text)

    def run(self, names: Sequence[str] = lanes.NAMES) -> list[lanes.Result]:
        return lanes.run(self.FOLDERS, self.folder, self.environment, self.lines.append, names)

    def said(self) -> str:
        return "\n".join(self.lines)
