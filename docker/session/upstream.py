"""Whether opencode answers."""

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

TIMEOUT_SECONDS = 2.0
BOOT_TIMEOUT_SECONDS = 0.25
"""For the first question to an opencode that boots, which gets no answer; the next wait longer."""
FRESH_SECONDS = 0.5
"""How long an answer is good for those who ask next."""
BOOT_FRESH_SECONDS = 0.1
"""The same while opencode boots: it shall not wait for us when it is up."""

_log = logging.getLogger("session")


@dataclass(frozen=True)
class Health:
    """What opencode said, or why it could not."""

    healthy: bool
    version: str = ""
    reason: str = ""


class Upstream:
    """opencode, asked with the password of its own."""

    def __init__(self, url: str, user: str, password: str, started: Path) -> None:
        """`started` is a file that is touched whenever opencode is started."""
        self._url = url
        self._authorization = aiohttp.BasicAuth(user, password)
        self._started = started
        self._start = 0
        self._patience = BOOT_TIMEOUT_SECONDS
        self._ready = False
        self._health = Health(False, reason="opencode was not asked yet")
        self._asked_at = float("-inf")
        self._question: asyncio.Task[Health] | None = None

    async def health(self) -> Health:
        """What opencode says of itself: half a second old at most, asked once for all who wait."""
        self._notice_start()
        fresh = FRESH_SECONDS if self._ready else BOOT_FRESH_SECONDS
        if asyncio.get_running_loop().time() - self._asked_at < fresh:
            return self._health
        if self._question is None:
            self._question = asyncio.create_task(self._ask())
        return await asyncio.shield(self._question)

    async def is_ready(self) -> bool:
        """Whether opencode has been healthy since it was last started.

        A request that comes while it boots is never answered, so it must not get one. Once it is
        up it may take its time: a slow answer is better than a refusal.
        """
        self._notice_start()
        return self._ready or (await self.health()).healthy

    def _notice_start(self) -> None:
        start = self._started.stat().st_mtime_ns
        if start != self._start:
            self._start = start
            self._ready = False
            self._patience = BOOT_TIMEOUT_SECONDS
            self._asked_at = float("-inf")

    async def _ask(self) -> Health:
        start = self._start
        try:
            health = await self._get()
        finally:
            self._question = None
        if start == self._start:
            self._note(health)
            self._health = health
            self._asked_at = asyncio.get_running_loop().time()
            self._ready = self._ready or health.healthy
        return health

    def _note(self, health: Health) -> None:
        if health == self._health:
            return
        state = f"healthy ({health.version})" if health.healthy else f"not healthy: {health.reason}"
        _log.info("opencode is %s", state)

    async def _get(self) -> Health:
        seconds = TIMEOUT_SECONDS if self._ready else self._patience
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with (
                aiohttp.ClientSession(auth=self._authorization, timeout=timeout) as client,
                client.get(self._url) as answer,
            ):
                if answer.status != HTTPStatus.OK:
                    return Health(False, reason=f"opencode answered {answer.status}")
                said = await answer.json()
        except TimeoutError:
            self._patience = min(2 * self._patience, TIMEOUT_SECONDS)
            return Health(False, reason=f"opencode did not answer within {seconds:g} s")
        except aiohttp.ClientConnectorError:
            return Health(False, reason="opencode does not listen (it is starting, or has ended)")
        except (aiohttp.ClientError, ValueError) as error:
            return Health(False, reason=f"opencode sent no whole answer ({type(error).__name__})")
        if not isinstance(said, dict) or said.get("healthy") is not True:
            return Health(False, reason="opencode says that it is not healthy")
        return Health(True, version=str(said.get("version", "")))
