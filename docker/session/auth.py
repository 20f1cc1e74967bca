"""Who somebody is: by the session's cookie, or by Basic credentials."""

import asyncio
import secrets
import time
from dataclasses import dataclass

from accounts.directory import Account, Directory

from session import audit, grants
from session.audit import Audit, Client
from session.grants import Grants
from session.limits import network
from session.remembered import Remembered
from session.store import Session, Store
from session.verifier import Later, Verifier


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in."""

    user: str
    grant: str
    """See session.grants."""
    session: Session | None
    """None for who brings Basic credentials with each request."""


class Authenticator:
    """Signing in and out, and finding out who has; good only while the account stays the same."""

    def __init__(
        self, directory: Directory, verifier: Verifier, store: Store, journal: Audit
    ) -> None:
        self._directory = directory
        self._verifier = verifier
        self._store = store
        self._audit = journal
        self._grants = Grants(store.key("grant", 32))
        self._remembered = Remembered()
        self._asking: dict[tuple[bytes, str], asyncio.Task[Account | Later | None]] = {}

    def has_users(self) -> bool:
        """Whether anybody could sign in."""
        now = time.time()
        return any(account.is_enabled(now) for account in self._directory)

    def by_session(self, token: str, address: str) -> Visitor | None:
        """Whose session `token` is; None when it has ended or the account was changed."""
        return self._of_session(self._store.find(token, address, time.time()))

    async def by_password(self, user: str, password: str, client: Client) -> Visitor | Later | None:
        """Whose Basic credentials these are; PAM is asked once for all requests that bring them."""
        known = self._recall(user, password, client)
        if known:
            return self._of_account(known)
        # Not across addresses: each has limits of its own.
        question = (self._remembered.digest(user, password), network(client.address))
        if question not in self._asking:
            self._asking[question] = asyncio.create_task(self._verify(user, password, client))
            self._asking[question].add_done_callback(lambda _: self._asking.pop(question))
        answer = await asyncio.shield(self._asking[question])
        return self._of_account(answer) if isinstance(answer, Account) else answer

    async def sign_in(self, user: str, password: str, client: Client) -> str | Later | None:
        """Begin a session; gives its token, or None when PAM says no."""
        answer = await self._verifier.verify(user, password, client, audit.FORM)
        if not isinstance(answer, Account):
            return answer
        token, session = self._store.create(
            user, answer.fingerprint, client.address, client.agent, time.time()
        )
        self._note(audit.SIGN_IN, client, user, method=audit.FORM, session=session.id)
        return token

    def sign_out(self, session: Session, client: Client) -> None:
        """End somebody's own session."""
        if self._store.end(session.user, session.id):
            self._note(audit.SIGN_OUT, client, session.user, session=session.id)

    def sessions(self, user: str) -> list[Session]:
        """The user's sessions, the one that was used last first."""
        found = self._store.of_user(user, time.time())
        return [session for session in found if self._of_session(session)]

    def revoke(self, user: str, identifier: str, client: Client) -> bool:
        """End the session with that id if it is the user's own; gives whether it was."""
        was_own = self._store.end(user, identifier)
        if was_own:
            self._note(audit.REVOKED, client, user, session=identifier)
        return was_own

    def sign_out_everywhere(self, visitor: Visitor, client: Client) -> None:
        """End all of a user's sessions and streams, and forget the credentials of programs."""
        self._store.end_all(visitor.user)
        self._remembered.forget(visitor.user)
        own = visitor.session.id if visitor.session else None
        self._note(audit.EVERYWHERE, client, visitor.user, session=own)

    def is_good(self, grant: str) -> bool:
        """Whether the sign-in that a grant stands for is still there."""
        today = self._today(grant)
        return today is not None and secrets.compare_digest(today.encode(), grant.encode())

    def _today(self, grant: str) -> str | None:
        """The grant that would be made today for what `grant` says it is about, if any."""
        kind, name = grants.subject(grant)
        if kind == grants.SESSION:
            visitor = self._of_session(self._store.get(name, time.time()))
            return visitor.grant if visitor else None
        account = self._directory.get_enabled(name)
        return self._of_account(account).grant if account else None

    def _of_session(self, session: Session | None) -> Visitor | None:
        if session is None:
            return None
        account = self._directory.get_enabled(session.user)
        if account and account.fingerprint == session.fingerprint:
            grant = self._grants.of_session(session, self._store.epoch(session.user))
            return Visitor(session.user, grant, session)
        self._store.end(session.user, session.id)
        client = Client(session.address, session.agent)
        self._note(audit.CHANGED, client, session.user, method=audit.FORM, session=session.id)
        return None

    def _of_account(self, account: Account) -> Visitor:
        epoch = self._store.epoch(account.name)
        grant = self._grants.of_account(account.name, account.fingerprint, epoch)
        return Visitor(account.name, grant, None)

    def _recall(self, user: str, password: str, client: Client) -> Account | None:
        """The account that these credentials opened lately, if it is still the same."""
        fingerprint = self._remembered.find(user, password, time.time())
        if fingerprint is None:
            return None
        account = self._directory.get_enabled(user)
        if account and account.fingerprint == fingerprint:
            return account
        self._remembered.forget(user)
        self._note(audit.CHANGED, client, user, method=audit.BASIC)
        return None

    async def _verify(self, user: str, password: str, client: Client) -> Account | Later | None:
        answer = await self._verifier.verify(user, password, client, audit.BASIC)
        if isinstance(answer, Account):
            self._remembered.keep(user, password, answer.fingerprint, time.time())
            self._note(audit.SIGN_IN, client, user, method=audit.BASIC)
        return answer

    def _note(
        self,
        event: str,
        client: Client,
        user: str,
        *,
        method: str | None = None,
        session: str | None = None,
    ) -> None:
        self._audit.note(event, client, time.time(), user=user, method=method, session=session)
