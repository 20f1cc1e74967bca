"""Runs the session service on its Unix socket, as services/session/run tells it to."""

import logging
import os
import socket
import sys
from pathlib import Path

from accounts.directory import Directory
from aiohttp import web

from session.app import Gateway
from session.auth import Authenticator
from session.cookies import Cookies
from session.pages import Pages
from session.passwords import Pam
from session.store import Store
from session.upstream import Upstream

RUN = Path("/run/opencode-cloud")
SESSIONS = Path("/var/lib/opencode-cloud/users/sessions/sessions.db")
WORKSPACE = "/workspace"


def main() -> None:
    """Serve until told to stop."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    port = os.environ["OPENCODE_CLOUD_PORT"]
    store = Store(SESSIONS)
    upstream = Upstream(
        url=f"http://127.0.0.1:{port}{os.environ['OPENCODE_CLOUD_HEALTH_PATH']}",
        user=os.environ["OPENCODE_CLOUD_USER"],
        password=(RUN / "session/password").read_text(encoding="ascii").strip(),
        started=RUN / "opencode.started",
    )
    gateway = Gateway(
        Authenticator(Directory(), Pam(), store),
        Cookies(store.key("deployment", 4).hex(), store.key("form", 32)),
        Pages(os.environ["OPENCODE_CLOUD_DEPLOYMENT"], container=socket.gethostname()),
        upstream,
        WORKSPACE,
    )
    web.run_app(
        gateway.application(),
        sock=_listen(RUN / "session/socket"),
        access_log=None,
        print=None,
        shutdown_timeout=1,
    )
    store.close()


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    # Its folder lets in the gateway alone.
    path.chmod(0o666)
    return listener


main()
