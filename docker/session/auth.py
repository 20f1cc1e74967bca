"""Who sends a request: by the session's cookie, or by Basic credentials."""

import asyncio
import time
from typing import Protocol

from accounts.directory import Account, Directory

from session.remembered import Remembered
from session.store import Store

REFUSAL_SECONDS = 0.3
"""What a refusal takes, whether or not the name exists; longer than PAM, so it tells nothing."""


class PasswordCheck(Protocol):
    """What is asked whether a password is right: PAM."""

    async def accepts(self, name: str, password: str) -> bool:
        """Whether `name` is let in with `password`."""
        ...


class Authenticator:
    """Signing in, and finding out who has; good only for as long as the account stays the same."""

    def __init__(self, directory: Directory, pam: PasswordCheck, store: Store) -> None:
        self._directory = directory
        self._pam = pam
        self._store = store
        self._remembered = Remembered()
        self._asking: dict[bytes, asyncio.Task[Account | None]] = {}

    def has_users(self) -> bool:
        """Whether anybody could sign in."""
        now = time.time()
        return any(account.is_enabled(now) for account in self._directory)

    def by_session(self, token: str) -> str | None:
        """The user whose session `token` is; None when it has ended or the account was changed."""
        session = self._store.find(token, time.time())
        if session is None:
            return None
        account = self._directory.get_enabled(session.user)
        if account is None or account.fingerprint != session.fingerprint:
            self._store.end(token)
            return None
        return session.user

    async def by_password(self, user: str, password: str) -> str | None:
        """The user of Basic credentials; PAM is asked once for all requests that bring the same."""
        account = self._directory.get_enabled(user)
        if account and self._remembered.holds(user, password, account.fingerprint, time.time()):
            return user
        digest = self._remembered.digest(user, password)
        if digest not in self._asking:
            self._asking[digest] = asyncio.create_task(self._verify(user, password))
            self._asking[digest].add_done_callback(lambda _: self._asking.pop(digest))
        account = await asyncio.shield(self._asking[digest])
        if account is None:
            return None
        self._remembered.keep(user, password, account.fingerprint, time.time())
        return user

    async def sign_in(self, user: str, password: str) -> str | None:
        """Begin a session; gives its token, or None when PAM says no."""
        account = await self._verify(user, password)
        return self._store.create(user, account.fingerprint, time.time()) if account else None

    def sign_out(self, token: str) -> None:
        """End a session."""
        self._store.end(token)

    async def _verify(self, user: str, password: str) -> Account | None:
        began = time.monotonic()
        # The account as it is before PAM looks: if it changes meanwhile, what is granted is void.
        account = self._directory.get_enabled(user)
        if account and await self._pam.accepts(user, password):
            return account
        await asyncio.sleep(began + REFUSAL_SECONDS - time.monotonic())
        return None
