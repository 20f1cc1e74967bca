"""The session service as several of its tests have it; others make their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.unit.session_parts import HASH, Service, write_etc


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """An /etc with the account `ada`."""
    return write_etc(tmp_path / "etc", ada=HASH)


@pytest.fixture
def service(etc: Path) -> Service:
    """All of the service's parts."""
    return Service(etc, attempts=5)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[TestClient]:
    """What nginx is to the service."""
    async with TestClient(TestServer(service.application())) as client:
        yield client
