"""What other services ask over the session service's socket (see rootfs/etc/opencode-cloud/)."""

import time

from aiohttp import web

from session import answers, metrics
from session import request as incoming
from session.audit import Audit
from session.auth import Authenticator
from session.store import Store
from session.upstream import Upstream

LARGEST_GRANTS = 1024 * 1024
"""Bytes of all grants that are asked about at once."""


class Gateway:
    """The handlers, one for each question but the one in session.check."""

    def __init__(
        self,
        authenticator: Authenticator,
        upstream: Upstream,
        store: Store,
        audit: Audit,
    ) -> None:
        self._authenticator = authenticator
        self._upstream = upstream
        self._store = store
        self._audit = audit

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [
            web.get("/refused", self.refused),
            web.get("/health", self.health),
            web.post("/grants", self.grants),
            web.get("/metrics", self.metrics),
        ]

    async def refused(self, request: web.Request) -> web.Response:
        """What the sender of a refused request gets; nginx makes its waiting page of a 503."""
        response = _explanation(request)
        app = incoming.app_origin(request.headers)
        if app:
            response.headers["Access-Control-Allow-Origin"] = app
        return response

    async def health(self, _: web.Request) -> web.Response:
        """For everybody: 200 when opencode itself says that it is healthy, else 503 and why."""
        health = await self._upstream.health()
        if health.healthy:
            body = {"healthy": True, "version": health.version}
            return web.json_response(body, headers=answers.NO_STORE)
        body = {"healthy": False, "reason": health.reason}
        return web.json_response(body, status=503, headers=answers.NO_STORE)

    async def grants(self, request: web.Request) -> web.Response:
        """Which of the grants in the body, one a line, are void by now; likewise one a line."""
        body = await request.clone(client_max_size=LARGEST_GRANTS).read()
        # Latin-1 gives back every byte as it came.
        grants = [line for line in body.decode("latin-1").split("\n") if line]
        void = [grant for grant in grants if not self._authenticator.is_good(grant)]
        answer = "".join(f"{grant}\n" for grant in void)
        return web.Response(body=answer.encode("latin-1"), content_type="text/plain")

    async def metrics(self, _: web.Request) -> web.Response:
        """The session service's part of what Prometheus collects."""
        sessions = self._store.count(time.time())
        text = metrics.exposition(sessions, self._audit.counts, await self._upstream.health())
        return web.Response(text=text, content_type="text/plain")


def _explanation(request: web.Request) -> web.Response:
    reason, _, detail = request.headers.get("X-Gateway-Refusal", "").partition(":")
    if reason == "starting":
        return web.Response(status=503)
    if reason == "limited":
        return answers.too_often(int(detail))
    if reason == "foreign":
        message = "a page of another site sent this request; open opencode itself"
        return answers.error(403, message)
    return answers.sign_in_first(request)
