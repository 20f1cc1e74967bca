"""What can be read off a request without asking anybody: pure functions of its text."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from aiohttp import web

ACCOUNT = "/_gateway/account"
"""The one page of our own that signing in may lead to."""
APP_ORIGINS = frozenset({"tauri://localhost", "http://tauri.localhost", "https://tauri.localhost"})
"""Where the desktop app's pages come from, on macOS and Linux, Windows and Android."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST_NEXT = 2048
"""Characters."""
_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")
"""One slash, then visible ASCII without a backslash, which browsers read as a slash."""


@dataclass(frozen=True)
class Question:
    """A request as nginx tells of it: headers alone, with names as session.conf spells them."""

    headers: Mapping[str, str]


Message = Question | web.Request
"""A request, as far as its headers go."""


def local_path(value: str) -> str | None:
    """`value` when it is a path of this site to go on to after signing in, else None."""
    if len(value) > LONGEST_NEXT or not _PATH.fullmatch(value):
        return None
    path = urlsplit(value).path
    # The start page is empty until a project is chosen, and our other pages lead nowhere.
    leads_nowhere = path == "/" or path.startswith("/_gateway/")
    return None if leads_nowhere and value != ACCOUNT else value


def is_foreign(method: str, upgrade: str, headers: Mapping[str, str]) -> bool:
    """Whether another site's page sends this request, and it could change something.

    Browsers say so in Sec-Fetch-Site, or at least in Origin; programs send neither. Reading is
    left alone: links from elsewhere must work, and no foreign page can see the answer.
    """
    if method in SAFE_METHODS and not upgrade:
        return False
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("Origin")
    return origin is not None and origin.partition("://")[2] != headers.get("Host")


def app_origin(headers: Mapping[str, str]) -> str | None:
    """The origin of the desktop app's page when one sends this; a cookie of its counts for nothing.

    Any program on that device can have a page of that origin, so only credentials tell the app
    from others: they are in its settings, and no browser adds them by itself.
    """
    origin = headers.get("Origin")
    return origin if origin in APP_ORIGINS else None


def is_browser(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this, which answers WWW-Authenticate with a prompt of its own.

    Sec-Fetch-* is sent over HTTPS and to localhost only, hence the second sign.
    """
    return "Sec-Fetch-Mode" in headers or headers.get("User-Agent", "").startswith("Mozilla/")


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Whether the answer will be shown as a page."""
    mode = headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else "text/html" in headers.get("Accept", "")


def credentials(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password that a request brings itself, if it does.

    They are in the Authorization header. opencode's clients cannot set it for a WebSocket and put
    the same text into the query.
    """
    authorization = headers.get("Authorization")
    if authorization is not None:
        return basic_credentials(authorization)
    if headers.get("X-Gateway-Upgrade"):
        return query_credentials(headers.get("X-Gateway-Target", ""))
    return None


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """User and password of an Authorization header; None when it has none."""
    scheme, _, encoded = authorization.partition(" ")
    return _user_and_password(encoded.strip()) if scheme.lower() == "basic" else None


def query_credentials(target: str) -> tuple[str, str] | None:
    """User and password of the one auth_token in the query of `target`; None when it has none."""
    pairs = (pair.partition("=") for pair in target.partition("?")[2].split("&"))
    tokens = [value for name, _, value in pairs if name == "auth_token"]
    return _user_and_password(unquote(tokens[0])) if len(tokens) == 1 else None


def _user_and_password(encoded: str) -> tuple[str, str] | None:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        return None
    user, colon, password = decoded.partition(":")
    return (user, password) if colon else None


def workspace_path(folder: str) -> str:
    """Where opencode's pages have a prompt ready in `folder`."""
    return f"/{base64.urlsafe_b64encode(folder.encode()).decode().rstrip('=')}/session"
