"""The gateway's two cookies: the session's token, and the one that forms are tied to."""

import hashlib
import hmac
import secrets

from aiohttp import web

from session.request import Message
from session.store import ABSOLUTE_SECONDS


def parse(header: str) -> dict[str, str]:
    """The cookies of a Cookie header. The first of a name counts: browsers put the closest there.

    The standard library's parser drops all cookies when one is not to its taste, and other
    programs on the same host name set such cookies.
    """
    cookies: dict[str, str] = {}
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        cookies.setdefault(name, value)
    return cookies


class Cookies:
    """Reads and sets them.

    Browsers keep cookies by host name, whatever the port: the deployment's id in the names keeps
    apart what runs on one machine.
    """

    def __init__(self, deployment_id: str, form_key: bytes) -> None:
        self._id = deployment_id
        self._form_key = form_key

    def session(self, request: Message) -> str | None:
        """The token of the session that the request carries."""
        return self._get("session", request)

    def set_session(self, request: web.Request, response: web.StreamResponse, token: str) -> None:
        """Give the browser a session's token."""
        self._set("session", request, response, token, max_age=ABSOLUTE_SECONDS)

    def drop_session(self, request: web.Request, response: web.StreamResponse) -> None:
        """Have the browser forget the session's token."""
        self._set("session", request, response, "", max_age=0)

    def form(self, request: Message) -> str:
        """The value that this browser's forms are tied to, new when it has none yet."""
        return self._get("form", request) or secrets.token_urlsafe(16)

    def set_form(self, request: web.Request, response: web.StreamResponse, form: str) -> None:
        """Give the browser the value that the form in `response` is tied to."""
        self._set("form", request, response, form, max_age=None)

    def csrf(self, form: str) -> str:
        """What a form that is tied to `form` must send back."""
        return hmac.new(self._form_key, form.encode(), hashlib.sha256).hexdigest()

    def is_own_form(self, request: Message, csrf: str) -> bool:
        """Whether `csrf` was sent by a form that this browser got from us."""
        form = self._get("form", request)
        return form is not None and secrets.compare_digest(self.csrf(form).encode(), csrf.encode())

    def _get(self, kind: str, request: Message) -> str | None:
        value = parse(request.headers.get("Cookie", "")).get(self._name(kind, request))
        # Ours are ASCII; anything else cannot even be hashed.
        return value if value and value.isascii() else None

    def _set(
        self,
        kind: str,
        request: web.Request,
        response: web.StreamResponse,
        value: str,
        max_age: int | None,
    ) -> None:
        response.set_cookie(
            self._name(kind, request),
            value,
            max_age=max_age,
            path="/",
            httponly=True,
            samesite="Lax",
            secure=_is_secure(request),
        )

    def _name(self, kind: str, request: Message) -> str:
        return f"{'__Host-' if _is_secure(request) else ''}opencode-{kind}-{self._id}"


def _is_secure(request: Message) -> bool:
    return request.headers.get("X-Gateway-Scheme") == "https"
