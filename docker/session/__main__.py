"""Runs the session service on its Unix socket, as services/session/run tells it to."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from accounts.directory import Directory
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from gateway import settings

from session.app import Gateway
from session.audit import Audit
from session.auth import Authenticator
from session.check import Check, Connection
from session.cookies import Cookies
from session.front import LARGEST_FORM, Front
from session.limits import Limits
from session.pages import Pages
from session.passwords import Pam
from session.store import Store
from session.upstream import Upstream
from session.verifier import Verifier
from session.visitors import Visitors

LONGEST_HEADER = 32 * 1024
"""Bytes; more than nginx takes from a client. Cookies of a whole host name come in one."""
RUN = Path("/run/opencode-cloud")
SESSIONS = Path("/var/lib/opencode-cloud/users/sessions/sessions.db")
WORKSPACE = "/workspace"


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    store = Store(SESSIONS)
    web.run_app(
        _application(store),
        sock=_listen(RUN / "session/socket"),
        access_log=None,
        print=None,
        shutdown_timeout=1,
    )
    store.close()


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Not what is no HTTP: anybody can send it, and what is said of it quotes a cookie."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _application(store: Store) -> web.Application:
    told = settings.load(os.environ)
    port = os.environ["OPENCODE_CLOUD_PORT"]
    upstream = Upstream(
        url=f"http://127.0.0.1:{port}{os.environ['OPENCODE_CLOUD_HEALTH_PATH']}",
        user=os.environ["OPENCODE_CLOUD_USER"],
        password=(RUN / "session/password").read_text(encoding="ascii").strip(),
        started=RUN / "opencode.started",
    )
    directory = Directory()
    audit = Audit(told.rate_limit_window_seconds)
    limits = Limits(told.rate_limit_attempts, told.rate_limit_window_seconds)
    verifier = Verifier(directory, Pam(), store, limits, audit)
    authenticator = Authenticator(directory, verifier, store, audit)
    cookies = Cookies(store.key("deployment", 4).hex(), store.key("form", 32))
    visitors = Visitors(authenticator, cookies)
    pages = Pages(os.environ["OPENCODE_CLOUD_DEPLOYMENT"], container=socket.gethostname())
    front = Front(authenticator, visitors, cookies, pages, WORKSPACE)
    gateway = Gateway(authenticator, upstream, store, audit)
    application = web.Application(
        client_max_size=LARGEST_FORM,
        handler_args={"max_field_size": LONGEST_HEADER, "max_line_size": LONGEST_HEADER},
    )
    application.add_routes([*gateway.routes(), *front.routes()])
    application.cleanup_ctx.append(partial(_checking, Check(visitors, upstream)))
    return application


async def _checking(check: Check, _: web.Application) -> AsyncIterator[None]:
    """Answer nginx's question about each request, beside the rest."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(
        lambda: Connection(check), sock=_listen(RUN / "session/check")
    )
    yield
    server.close()


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    # Its folder lets in those services alone that have something to ask.
    path.chmod(0o666)
    return listener


main()
