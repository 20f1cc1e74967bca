"""The pages on which people sign in and out, and look after their sessions."""

import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from session import answers
from session import request as incoming
from session.answers import LOGIN, see_other
from session.auth import Authenticator, Visitor
from session.cookies import Cookies
from session.pages import Pages
from session.request import ACCOUNT
from session.verifier import Later
from session.visitors import Visitors, client_of

LARGEST_FORM = 16 * 1024
"""Bytes."""
LOGOUT = "/_gateway/logout"


class Front:
    """The handlers of the pages."""

    def __init__(
        self,
        authenticator: Authenticator,
        visitors: Visitors,
        cookies: Cookies,
        pages: Pages,
        workspace: str,
    ) -> None:
        """`workspace` is the folder in which people land."""
        self._authenticator = authenticator
        self._visitors = visitors
        self._cookies = cookies
        self._pages = pages
        self._landing = incoming.workspace_path(workspace)

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [
            web.get("/_gateway/", self.root),
            web.get(LOGIN, self.show_login),
            web.post(LOGIN, self.login),
            web.get(LOGOUT, self.show_logout),
            web.post(LOGOUT, self.logout),
            web.get(ACCOUNT, self.show_account),
            web.post(ACCOUNT, self.change_account),
        ]

    async def root(self, _: web.Request) -> web.Response:
        """What a person finds who looks for our pages."""
        return see_other(ACCOUNT)

    async def show_login(self, request: web.Request) -> web.Response:
        """The form to sign in; who is signed in already goes on at once."""
        next_path = request.query.get("next", "")
        if self._visitors.of_session(request):
            return see_other(incoming.local_path(next_path) or self._landing)
        return self._login_page(request, {"next": next_path})

    async def login(self, request: web.Request) -> web.Response:
        """Sign in by the form, then go where one was going."""
        form = await _form(request)
        if not self._is_own_form(request, form):
            error = "This page was open for too long. Please try again."
            return self._login_page(request, form, error, status=403)
        name, password = form.get("username", ""), form.get("password", "")
        token = await self._authenticator.sign_in(name, password, client_of(request))
        if token is None:
            return self._login_page(request, form, "Wrong user name or password.", status=401)
        if isinstance(token, Later):
            page = self._login_page(request, form, _patience(token), status=429)
            page.headers["Retry-After"] = str(token.seconds)
            return page
        self._end_session(request)
        response = see_other(incoming.local_path(form.get("next", "")) or self._landing)
        self._cookies.set_session(request, response, token)
        return response

    async def show_logout(self, request: web.Request) -> web.Response:
        """The question whether to sign out."""
        visitor = self._visitors.of_session(request)
        if visitor is None:
            return see_other(LOGIN)
        form = self._cookies.form(request)
        csrf = self._cookies.csrf(form)
        page = self._pages.logout(csrf=csrf, name=visitor.user, landing=self._landing)
        return self._page(request, page, form)

    async def logout(self, request: web.Request) -> web.Response:
        """End the session that the request carries."""
        visitor = self._visitors.of_session(request)
        if visitor and not self._is_own_form(request, await _form(request)):
            return see_other(LOGOUT)
        self._end_session(request)
        return self._goodbye(request)

    async def show_account(self, request: web.Request) -> web.Response:
        """Who one is, and where one is signed in."""
        visitor = await self._visitors.of(request)
        if not isinstance(visitor, Visitor):
            return _turned_away(request, visitor)
        form = self._cookies.form(request)
        page = self._pages.account(
            csrf=self._cookies.csrf(form),
            name=visitor.user,
            sessions=self._authenticator.sessions(visitor.user),
            here=visitor.session.id if visitor.session else None,
            landing=self._landing,
            notice="That session has ended." if "ended" in request.query else "",
            now=time.time(),
        )
        return self._page(request, page, form)

    async def change_account(self, request: web.Request) -> web.Response:
        """End one of the sessions, or all."""
        visitor = await self._visitors.of(request)
        if not isinstance(visitor, Visitor):
            return _turned_away(request, visitor)
        form = await _form(request)
        if not self._is_own_form(request, form):
            return see_other(ACCOUNT)
        if "everywhere" in form:
            self._authenticator.sign_out_everywhere(visitor, client_of(request))
            return self._goodbye(request)
        revoked = form.get("revoke", "")
        self._authenticator.revoke(visitor.user, revoked, client_of(request))
        if visitor.session and visitor.session.id == revoked:
            return self._goodbye(request)
        return see_other(f"{ACCOUNT}?ended")

    def _goodbye(self, request: web.Request) -> web.Response:
        response = see_other(LOGIN)
        self._cookies.drop_session(request, response)
        return response

    def _end_session(self, request: web.Request) -> None:
        visitor = self._visitors.of_session(request)
        if visitor and visitor.session:
            self._authenticator.sign_out(visitor.session, client_of(request))

    def _is_own_form(self, request: web.Request, form: Mapping[str, str]) -> bool:
        foreign = incoming.is_foreign(request.method, "", request.headers)
        return not foreign and self._cookies.is_own_form(request, form.get("csrf", ""))

    def _login_page(
        self, request: web.Request, filled: Mapping[str, str], error: str = "", status: int = 200
    ) -> web.Response:
        """The form with what was `filled` in already, but for the password."""
        form = self._cookies.form(request)
        if self._authenticator.has_users():
            page = self._pages.login(
                csrf=self._cookies.csrf(form),
                next_path=filled.get("next", ""),
                name=filled.get("username", ""),
                error=error,
            )
        else:
            page = self._pages.no_users()
        return self._page(request, page, form, status)

    def _page(self, request: web.Request, page: str, form: str, status: int = 200) -> web.Response:
        response = answers.page(page, status)
        self._cookies.set_form(request, response, form)
        return response


async def _form(request: web.Request) -> dict[str, str]:
    """The fields of a posted form; none when it is not one."""
    body = (await request.read()).decode(errors="replace")
    return dict(parse_qsl(body, keep_blank_values=True))


def _turned_away(request: web.Request, why: Later | None) -> web.Response:
    return answers.too_often(why.seconds) if why else answers.sign_in_first(request)


def _patience(later: Later) -> str:
    seconds = f"{later.seconds} second{'' if later.seconds == 1 else 's'}"
    if later.is_crowded:
        return f"Too many people are signing in. Try again in {seconds}."
    return f"Too many wrong passwords. Try again in {seconds}."
