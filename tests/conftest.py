"""What every layer shares."""

from pathlib import Path

import pytest

from tests.honest import Honest, layers_asked_for

pytest_plugins = ["tests.engine.fixtures"]

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Have every run say what it left out."""
    if not config.option.collectonly:
        config.pluginmanager.register(Honest(layers_asked_for(config)), "honest")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout under test."""
    return ROOT
