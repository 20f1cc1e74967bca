"""Grants: they stand for a sign-in of an account, and are of no use to sign in with.

Whoever serves a stream holds one and asks from time to time whether it is still good.
"""

import hashlib
import hmac

from session.store import Session

SESSION, ACCOUNT = "session", "account"


class Grants:
    """Makes them. A grant names its sign-in and proves it by a MAC of all that it depends on.

    Nothing is kept: a grant is good as long as the same one would be made again.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_session(self, session: Session, epoch: int) -> str:
        """The grant of one session; see Store.epoch."""
        return self._grant(SESSION, session.id, session.user, session.fingerprint, str(epoch))

    def of_account(self, user: str, fingerprint: str, epoch: int) -> str:
        """The grant of whoever brings an account's password, without a session."""
        return self._grant(ACCOUNT, user.encode().hex(), fingerprint, str(epoch))

    def _grant(self, kind: str, subject: str, *depends: str) -> str:
        text = "\0".join([kind, subject, *depends])
        mac = hmac.digest(self._key, text.encode(), hashlib.sha256)
        return f"{kind}.{subject}.{mac.hex()}"


def subject(grant: str) -> tuple[str, str]:
    """What a text that may be a grant is about: a kind, and a session's id or a user's name."""
    kind, _, rest = grant.partition(".")
    name = rest.partition(".")[0]
    if kind != ACCOUNT:
        return kind, name
    try:
        return kind, bytes.fromhex(name).decode()
    except ValueError:
        return kind, ""
