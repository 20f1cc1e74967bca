"""Basic credentials that PAM has accepted, so that it is not asked again for each request."""

import hashlib
import hmac
import secrets
from collections import OrderedDict

LIFETIME_SECONDS = 300
"""Credentials that are not used for this long are forgotten."""
SIZE = 1024
"""Credentials that are remembered; the oldest make room."""


class Remembered:
    """Hashes of accepted credentials, under a key that only this process has; none on disk.

    Using them keeps them: a program that works is not held up by somebody else's wrong passwords.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._entries: OrderedDict[bytes, tuple[str, str, float]] = OrderedDict()

    def keep(self, user: str, password: str, fingerprint: str, now: float) -> None:
        """Remember that the account with `fingerprint` was let in at `now`, in seconds."""
        digest = self.digest(user, password)
        self._entries[digest] = (user, fingerprint, now + LIFETIME_SECONDS)
        self._entries.move_to_end(digest)
        if len(self._entries) > SIZE:
            self._entries.popitem(last=False)

    def find(self, user: str, password: str, now: float) -> str | None:
        """The fingerprint of the account that these let in lately; None when they did not."""
        _, fingerprint, until = self._entries.get(self.digest(user, password), ("", "", 0.0))
        if now >= until:
            self._entries.pop(self.digest(user, password), None)
            return None
        self.keep(user, password, fingerprint, now)
        return fingerprint

    def forget(self, user: str) -> None:
        """Forget all credentials of the user."""
        of_user = [digest for digest, entry in self._entries.items() if entry[0] == user]
        for digest in of_user:
            del self._entries[digest]

    def digest(self, user: str, password: str) -> bytes:
        """Stands for the credentials, in this process alone."""
        return hmac.digest(self._key, f"{user}\0{password}".encode(), hashlib.sha256)
