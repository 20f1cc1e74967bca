"""The session service's HTTP side, for nginx alone (see rootfs/etc/opencode-cloud/)."""

import logging
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from session import request as incoming
from session.auth import Authenticator
from session.cookies import Cookies
from session.pages import HEADERS as PAGE_HEADERS
from session.pages import Pages
from session.upstream import Upstream

LARGEST_FORM = 16 * 1024
"""Bytes."""
LOGIN = "/_gateway/login"
LOGOUT = "/_gateway/logout"
NO_STORE = {"Cache-Control": "no-store"}

_log = logging.getLogger("session")


class Gateway:
    """The handlers, one for each thing that nginx asks for."""

    def __init__(
        self,
        authenticator: Authenticator,
        cookies: Cookies,
        pages: Pages,
        upstream: Upstream,
        workspace: str,
    ) -> None:
        """`workspace` is the folder in which people land."""
        self._authenticator = authenticator
        self._cookies = cookies
        self._pages = pages
        self._upstream = upstream
        self._landing = incoming.workspace_path(workspace)

    def application(self) -> web.Application:
        """The application that serves them."""
        application = web.Application(client_max_size=LARGEST_FORM)
        application.add_routes(
            [
                web.get("/_gateway/check", self.check),
                web.get("/refused", self.refused),
                web.get("/health", self.health),
                web.get("/_gateway/login", self.show_login),
                web.post("/_gateway/login", self.login),
                web.get("/_gateway/logout", self.show_logout),
                web.post("/_gateway/logout", self.logout),
            ]
        )
        return application

    async def check(self, request: web.Request) -> web.Response:
        """nginx's question about each request: 200 lets it through, the rest carries why not."""
        headers = request.headers
        if incoming.is_foreign(
            headers["X-Gateway-Method"], headers.get("X-Gateway-Upgrade", ""), headers
        ):
            return _refusal(403, "foreign")
        account = await self._account(request)
        if account is None:
            return _refusal(401, "unauthenticated")
        if not await self._upstream.is_ready():
            return _refusal(403, "starting")
        return web.Response(headers={"X-Gateway-Account": account})

    async def refused(self, request: web.Request) -> web.StreamResponse:
        """What the sender of a refused request gets; nginx makes its waiting page of a 503."""
        refusal = request.headers.get("X-Gateway-Refusal", "")
        if refusal == "starting":
            return web.Response(status=503)
        if refusal == "foreign":
            return _error(403, "a page of another site sent this request; open opencode itself")
        if incoming.is_navigation(request.headers):
            target = incoming.local_path(request.headers["X-Gateway-Target"])
            return _see_other(f"{LOGIN}?{urlencode({'next': target})}" if target else LOGIN)
        response = _error(401, "sign in: a browser at /_gateway/login, a program with HTTP Basic")
        if not incoming.is_browser(request.headers):
            response.headers["WWW-Authenticate"] = 'Basic realm="opencode", charset="UTF-8"'
        return response

    async def health(self, _: web.Request) -> web.Response:
        """For everybody: 200 when opencode itself says that it is healthy, else 503 and why."""
        health = await self._upstream.health()
        if health.healthy:
            return web.json_response({"healthy": True, "version": health.version}, headers=NO_STORE)
        body = {"healthy": False, "reason": health.reason}
        return web.json_response(body, status=503, headers=NO_STORE)

    async def show_login(self, request: web.Request) -> web.Response:
        """The form to sign in; who is signed in already goes on at once."""
        next_path = request.query.get("next", "")
        if self._session_account(request):
            return _see_other(incoming.local_path(next_path) or self._landing)
        return self._login_page(request, next_path=next_path)

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Sign in by the form, then go where one was going."""
        form = await _form(request)
        name, next_path = form.get("username", ""), form.get("next", "")
        if not self._is_own_form(request, form):
            error = "This page was open for too long. Please try again."
            return self._login_page(
                request, next_path=next_path, name=name, error=error, status=403
            )
        token = await self._authenticator.sign_in(name, form.get("password", ""))
        address = request.headers["X-Gateway-Address"]
        if token is None:
            _log.info("refused a sign-in from %s", address)
            error = "Wrong user name or password."
            return self._login_page(
                request, next_path=next_path, name=name, error=error, status=401
            )
        _log.info("%s signed in from %s", name, address)
        self._end_session(request)
        response = _see_other(incoming.local_path(next_path) or self._landing)
        self._cookies.set_session(request, response, token)
        return response

    async def show_logout(self, request: web.Request) -> web.Response:
        """The question whether to sign out."""
        account = self._session_account(request)
        if account is None:
            return _see_other(LOGIN)
        form = self._cookies.form(request)
        csrf = self._cookies.csrf(form)
        page = self._pages.logout(csrf=csrf, name=account, landing=self._landing)
        return self._page(request, page, form)

    async def logout(self, request: web.Request) -> web.Response:
        """End the session that the request carries."""
        account = self._session_account(request)
        if account and not self._is_own_form(request, await _form(request)):
            return _see_other(LOGOUT)
        self._end_session(request)
        response = _see_other(LOGIN)
        self._cookies.drop_session(request, response)
        return response

    async def _account(self, request: web.Request) -> str | None:
        credentials = incoming.basic_credentials(request.headers.get("Authorization", ""))
        if credentials:
            return await self._authenticator.by_password(*credentials)
        return self._session_account(request)

    def _session_account(self, request: web.Request) -> str | None:
        token = self._cookies.session(request)
        return self._authenticator.by_session(token) if token else None

    def _end_session(self, request: web.Request) -> None:
        token = self._cookies.session(request)
        if token:
            self._authenticator.sign_out(token)

    def _is_own_form(self, request: web.Request, form: Mapping[str, str]) -> bool:
        foreign = incoming.is_foreign(request.method, "", request.headers)
        return not foreign and self._cookies.is_own_form(request, form.get("csrf", ""))

    def _login_page(
        self,
        request: web.Request,
        *,
        next_path: str,
        name: str = "",
        error: str = "",
        status: int = 200,
    ) -> web.Response:
        form = self._cookies.form(request)
        if self._authenticator.has_users():
            csrf = self._cookies.csrf(form)
            page = self._pages.login(csrf=csrf, next_path=next_path, name=name, error=error)
        else:
            page = self._pages.no_users()
        return self._page(request, page, form, status)

    def _page(self, request: web.Request, page: str, form: str, status: int = 200) -> web.Response:
        response = web.Response(
            text=page, content_type="text/html", status=status, headers=PAGE_HEADERS
        )
        self._cookies.set_form(request, response, form)
        return response


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a posted form; none when it is not one."""
    body = (await request.read()).decode(errors="replace")
    return dict(parse_qsl(body, keep_blank_values=True))


def _refusal(status: int, reason: str) -> web.Response:
    return web.Response(status=status, headers={"X-Gateway-Refusal": reason})


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status, headers=NO_STORE)


def _see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, **NO_STORE})
