"""Basic credentials that PAM has just accepted, so that it is not asked again for each request."""

import hashlib
import hmac
import secrets
from collections import OrderedDict

LIFETIME_SECONDS = 300
SIZE = 1024
"""Credentials that are remembered; the oldest make room."""


class Remembered:
    """Hashes of accepted credentials, under a key that only this process has; none on disk."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._entries: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def keep(self, user: str, password: str, fingerprint: str, now: float) -> None:
        """Remember that the account with `fingerprint` was let in at `now`, in seconds."""
        self._entries[self.digest(user, password)] = (fingerprint, now + LIFETIME_SECONDS)
        if len(self._entries) > SIZE:
            self._entries.popitem(last=False)

    def holds(self, user: str, password: str, fingerprint: str, now: float) -> bool:
        """Whether these were accepted lately, for an account that is still the same."""
        digest = self.digest(user, password)
        known, until = self._entries.get(digest, ("", 0.0))
        if known == fingerprint and now < until:
            return True
        self._entries.pop(digest, None)
        return False

    def digest(self, user: str, password: str) -> bytes:
        """Stands for the credentials, in this process alone."""
        return hmac.digest(self._key, f"{user}\0{password}".encode(), hashlib.sha256)
