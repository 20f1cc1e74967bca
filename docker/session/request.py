"""What can be read off a request without asking anybody: pure functions of its text."""

import base64
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST_NEXT = 2048
"""Characters."""
_PATH = re.compile(r"/(?!/)[!-\[\]-~]*")
"""One slash, then visible ASCII without a backslash, which browsers read as a slash."""


def local_path(value: str) -> str | None:
    """`value` when it is a path of this site to go on to after signing in, else None."""
    if len(value) > LONGEST_NEXT or not _PATH.fullmatch(value):
        return None
    path = urlsplit(value).path
    # The start page is empty until a project is chosen, and our own pages lead nowhere.
    return None if path == "/" or path.startswith("/_gateway/") else value


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


def is_browser(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this, which answers WWW-Authenticate with a prompt of its own.

    Sec-Fetch-* is sent over HTTPS and to localhost only, hence the second sign.
    """
    return "Sec-Fetch-Mode" in headers or headers.get("User-Agent", "").startswith("Mozilla/")


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Whether the answer will be shown as a page."""
    mode = headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else "text/html" in headers.get("Accept", "")


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """User and password of an Authorization header; None when it has none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
    user, colon, password = decoded.partition(":")
    return (user, password) if colon else None


def workspace_path(folder: str) -> str:
    """Where opencode's pages have a prompt ready in `folder`."""
    return f"/{base64.urlsafe_b64encode(folder.encode()).decode().rstrip('=')}/session"
