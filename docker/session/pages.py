"""The gateway's own pages: plain HTML, without scripts and without anything from elsewhere.

Style and mark are in rootfs/usr/share/opencode-cloud, where nginx has the page for waiting too.
"""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

from session import words
from session.store import Session

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_FOLDER = Path(__file__).with_name("templates")


class Pages:
    """The pages of one deployment. Whatever is put into them is escaped here."""

    def __init__(self, deployment: str, container: str) -> None:
        """`deployment` is the name that the pages show, `container` the one that Docker knows."""
        self._deployment = deployment
        self._container = container
        self._templates = {
            file.stem: Template(file.read_text(encoding="utf-8")) for file in _FOLDER.glob("*.html")
        }

    def login(self, *, csrf: str, next_path: str, name: str, error: str) -> str:
        """The form to sign in; `error`, if any, is announced, and `name` is filled in already."""
        alert = self._fill("alert", text=error) if error else ""
        form = self._fill(
            "login",
            csrf=csrf,
            next=next_path,
            name=name,
            focus_name="" if name else "autofocus",
            focus_password="autofocus" if name else "",
        )
        return self._page("Sign in", alert + form)

    def no_users(self) -> str:
        """Instead of the form as long as there is nobody who could sign in."""
        return self._page("No user yet", self._fill("no_users", container=self._container))

    def logout(self, *, csrf: str, name: str, landing: str) -> str:
        """The question whether `name` wants to sign out, or back to `landing`."""
        return self._page("Sign out", self._fill("logout", csrf=csrf, name=name, landing=landing))

    def account(
        self,
        *,
        csrf: str,
        name: str,
        sessions: Iterable[Session],
        here: str | None,
        landing: str,
        notice: str,
        now: float,
    ) -> str:
        """Where `name` is signed in; `here` is this browser's session, if it has one.

        `notice`, if any, says what was just done.
        """
        rows = "".join(self._session(session, session.id == here, now) for session in sessions)
        parts = {
            "notice": self._fill("notice", text=notice) if notice else "",
            "how": "" if here else self._fill("no_session"),
            "leaving": self._fill("sign_out", csrf=csrf) if here else "",
            "sessions": self._fill("sessions", {"rows": rows}, csrf=csrf) if rows else "",
        }
        content = self._fill("account", parts, csrf=csrf, name=name, landing=landing)
        return self._page("Your account", content, kind="wide")

    def _session(self, session: Session, is_here: bool, now: float) -> str:
        return self._fill(
            "session",
            {"here": self._fill("here") if is_here else ""},
            id=session.id,
            device=words.device(session.agent),
            address=session.address or "unknown",
            created=words.stamp(session.created),
            created_ago=words.ago(session.created, now),
            used=words.stamp(session.used),
            used_ago=words.ago(session.used, now),
        )

    def _page(self, title: str, content: str, kind: str = "narrow") -> str:
        return self._templates["page"].substitute(
            title=escape(title),
            deployment=escape(self._deployment),
            kind=kind,
            content=content,
        )

    def _fill(self, template: str, parts: Mapping[str, str] | None = None, /, **values: str) -> str:
        """A template with `values`, which are text, and `parts`, which are HTML already."""
        escaped = {key: escape(value) for key, value in values.items()}
        return self._templates[template].substitute(escaped, **(parts or {}))
