import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from session import upstream
from session.upstream import Upstream


class Opencode:
    """Answers what a test sets, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], Awaitable[web.StreamResponse]] = self.healthy

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Basic b3BlbmNvZGU6c2VjcmV0"
        self.asked += 1
        return await self.answer()

    async def healthy(self) -> web.Response:
        return web.json_response({"healthy": True, "version": "1.18.33"})

    async def silent(self) -> web.Response:
        await asyncio.sleep(30)
        return await self.healthy()


@pytest.fixture
def opencode() -> Opencode:
    return Opencode()


@pytest.fixture
async def server(opencode: Opencode) -> AsyncIterator[BaseTestServer]:
    application = web.Application()
    application.add_routes([web.get("/global/health", opencode.handle)])
    async with TestServer(application) as server:
        yield server


@pytest.fixture
def started(tmp_path: Path) -> Path:
    file = tmp_path / "started"
    file.touch()
    return file


@pytest.fixture
def restart(started: Path) -> Callable[[], None]:
    return started.touch


@pytest.fixture
def asked(server: BaseTestServer, started: Path, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    monkeypatch.setattr(upstream, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(upstream, "BOOT_TIMEOUT_SECONDS", 0.25)
    monkeypatch.setattr(upstream, "FRESH_SECONDS", 0.02)
    monkeypatch.setattr(upstream, "BOOT_FRESH_SECONDS", 0.02)
    return Upstream(str(server.make_url("/global/health")), "opencode", "secret", started)


async def test_opencode_is_healthy_when_it_says_so(asked: Upstream):
    health = await asked.health()
    assert (health.healthy, health.version) == (True, "1.18.33")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.Response(text="<!doctype html>", content_type="text/html"), "whole answer"),
        (web.Response(text="{", content_type="application/json"), "whole answer"),
        (web.json_response({"healthy": False}), "says that it is not healthy"),
        (web.json_response({"healthy": "yes"}), "says that it is not healthy"),
        (web.json_response([]), "says that it is not healthy"),
        (web.Response(status=401), "answered 401"),
        (web.Response(status=500), "answered 500"),
    ],
)
async def test_any_other_answer_is_a_reason(
    asked: Upstream, opencode: Opencode, answer: web.Response, reason: str
):
    async def give() -> web.Response:
        return answer

    opencode.answer = give
    health = await asked.health()
    assert not health.healthy
    assert reason in health.reason


async def test_a_silent_opencode_is_not_waited_for(asked: Upstream, opencode: Opencode):
    opencode.answer = opencode.silent
    health = await asyncio.wait_for(asked.health(), timeout=3)
    assert "did not answer within" in health.reason


async def test_an_opencode_that_is_gone_is_a_reason(asked: Upstream, server: BaseTestServer):
    await server.close()
    assert "does not listen" in (await asked.health()).reason


async def test_all_who_ask_at_once_cost_one_question(asked: Upstream, opencode: Opencode):
    answers = await asyncio.gather(*(asked.health() for _ in range(20)))
    assert {answer.healthy for answer in answers} == {True}
    assert opencode.asked == 1


async def test_an_answer_is_soon_asked_for_anew(asked: Upstream, opencode: Opencode):
    assert (await asked.health()).healthy
    opencode.answer = opencode.silent
    await asyncio.sleep(0.03)
    assert not (await asked.health()).healthy


async def test_nobody_is_let_through_to_an_opencode_that_boots(asked: Upstream, opencode: Opencode):
    opencode.answer = opencode.silent
    assert not await asked.is_ready()
    opencode.answer = opencode.healthy
    await asyncio.sleep(0.03)
    assert await asked.is_ready()


async def test_a_busy_opencode_is_still_asked_for_its_answer(asked: Upstream, opencode: Opencode):
    assert await asked.is_ready()
    opencode.answer = opencode.silent
    await asyncio.sleep(0.03)
    assert not (await asked.health()).healthy
    assert await asked.is_ready()


async def test_a_restarted_opencode_must_be_healthy_again_first(
    asked: Upstream, opencode: Opencode, restart: Callable[[], None]
):
    assert await asked.is_ready()
    opencode.answer = opencode.silent
    restart()
    assert not await asked.is_ready()


async def test_a_caller_who_gives_up_does_not_disturb_the_others(asked: Upstream):
    hasty, patient = asyncio.create_task(asked.health()), asyncio.create_task(asked.health())
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).healthy
