"""Answers that several handlers give."""

from urllib.parse import urlencode

from aiohttp import web

from session import request as incoming
from session.pages import HEADERS as PAGE_HEADERS

LOGIN = "/_gateway/login"
NO_STORE = {"Cache-Control": "no-store"}


def error(status: int, message: str) -> web.Response:
    """What was wrong, for programs."""
    return web.json_response({"error": message}, status=status, headers=NO_STORE)


def see_other(path: str) -> web.Response:
    """On to another page."""
    return web.Response(status=303, headers={"Location": path, **NO_STORE})


def page(text: str, status: int = 200) -> web.Response:
    """A page of our own."""
    return web.Response(text=text, content_type="text/html", status=status, headers=PAGE_HEADERS)


def sign_in_first(request: web.Request) -> web.Response:
    """For who is not signed in: the page to sign in, or the news as JSON."""
    if incoming.is_navigation(request.headers):
        target = incoming.local_path(request.headers["X-Gateway-Target"])
        return see_other(f"{LOGIN}?{urlencode({'next': target})}" if target else LOGIN)
    response = error(401, "sign in: a browser at /_gateway/login, a program with HTTP Basic")
    if not incoming.is_browser(request.headers):
        response.headers["WWW-Authenticate"] = 'Basic realm="opencode", charset="UTF-8"'
    return response


def too_often(seconds: int) -> web.Response:
    """For who must wait before the next password is looked at."""
    response = error(429, f"too many attempts to sign in; try again in {seconds} s")
    response.headers["Retry-After"] = str(seconds)
    return response
