"""Asking whether a password is right: not too often, not too many at once, and telling nothing."""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from accounts.directory import Account, Directory

from session import limits
from session.audit import REFUSED, Audit, Client
from session.limits import Limits
from session.store import Store

REFUSAL_SECONDS = 0.3
"""What a refusal takes, whether or not the name exists; longer than PAM, so it tells nothing."""
AT_ONCE = 4
"""Passwords that PAM looks at at a time."""
LONGEST_QUEUE = 32
"""Passwords that wait for it: each address has only a few, so it takes many to fill."""


class PasswordCheck(Protocol):
    """What is asked whether a password is right: PAM."""

    async def accepts(self, name: str, password: str) -> bool:
        """Whether `name` is let in with `password`."""
        ...


@dataclass(frozen=True)
class Later:
    """The password was not looked at: too many were wrong lately, or too many came at once."""

    seconds: int
    """When it is worth to try again."""
    is_crowded: bool = False
    """Whether others are the reason."""


class Verifier:
    """PAM behind the limits."""

    def __init__(
        self,
        directory: Directory,
        pam: PasswordCheck,
        store: Store,
        limit: Limits,
        audit: Audit,
    ) -> None:
        self._directory = directory
        self._pam = pam
        self._store = store
        self._limits = limit
        self._audit = audit
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._queued = 0

    async def verify(
        self, user: str, password: str, client: Client, method: str
    ) -> Account | Later | None:
        """The account that the password opens; None when it opens none."""
        buckets = self._buckets(user, client)
        began = time.monotonic()
        wait = self._limits.begin(buckets, began)
        if wait:
            return await self._later(Later(wait), user, client, method)
        if self._queued >= AT_ONCE + LONGEST_QUEUE:
            self._limits.give_back(buckets, began)
            return await self._later(Later(1, is_crowded=True), user, client, method)
        account = await self._ask(user, password)
        if account:
            self._limits.give_back(buckets, began)
        else:
            known = self._known(user)
            self._audit.note(REFUSED, client, time.time(), user=known, method=method)
        return account

    def _buckets(self, user: str, client: Client) -> list[str]:
        """What an attempt counts in: its address, and the account's name.

        Somebody else's wrong passwords must not lock the owner out: where the account is signed in
        already, its name does not count.
        """
        account = self._directory.get_enabled(user)
        homes = {
            limits.of_address(session.address)
            for session in self._store.of_user(user, time.time())
            if account and session.fingerprint == account.fingerprint
        }
        of_address = limits.of_address(client.address)
        return [of_address] if of_address in homes else [of_address, limits.of_name(user)]

    async def _ask(self, user: str, password: str) -> Account | None:
        self._queued += 1
        try:
            # Who has no account waits for a turn like everybody, or a crowd would tell who has.
            async with self._turns:
                began = time.monotonic()
                # The account as it is before PAM looks: if it changes meanwhile, what is granted
                # is void.
                account = self._directory.get_enabled(user)
                if account and await self._pam.accepts(user, password):
                    return account
        finally:
            self._queued -= 1
        await asyncio.sleep(began + REFUSAL_SECONDS - time.monotonic())
        return None

    async def _later(self, later: Later, user: str, client: Client, method: str) -> Later:
        known = self._known(user)
        self._audit.note_limited(client, time.time(), user=known, method=method)
        # No faster than a refusal, or a flood would be answered as fast as it can ask.
        await asyncio.sleep(REFUSAL_SECONDS)
        return later

    def _known(self, user: str) -> str | None:
        """The name if it is an account's: people type passwords where the name belongs."""
        return user if self._directory.get(user) else None
