"""What every layer shares."""

from pathlib import Path

import pytest

from tests.honest import Honest, layers_asked_for
from tests.sharing import Sharing

pytest_plugins = ["tests.engine.fixtures"]

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let several runs share the tests."""
    parser.addoption(
        "--share",
        type=Path,
        metavar="FOLDER",
        help="run only the files that no other run with this folder has taken",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have every run say what it left out."""
    if config.option.collectonly:
        return
    honest = Honest(layers_asked_for(config))
    config.pluginmanager.register(honest, "honest")
    if config.option.share:
        config.pluginmanager.register(Sharing(config.option.share, honest.leave), "sharing")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout under test."""
    return ROOT
