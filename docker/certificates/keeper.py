"""Keeps in `serving.pem` the best certificate that there is, and tries to have a better one.

nginx opens `serving.pem` at each handshake, so replacing it is all that it takes.
"""

import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gateway.settings import GatewaySettings

from certificates import CertificatesError, acme, files, report, schedule, state
from certificates.acme import Acme
from certificates.authority import Authority
from certificates.certificate import Certificate
from certificates.state import ACME, INTERNAL, State

GATEWAY = ("127.0.0.1", 8080)
"""Where nginx answers what an ACME server asks."""
GATEWAY_PATIENCE = 30
"""Seconds for nginx to come up."""
FOR_NGINX = 0o640
"""Whose group is the volume's: the gateway's."""


class Keeper:
    """The certificates of one gateway."""

    def __init__(
        self, settings: GatewaySettings, volume: Path, run: Path, say: Callable[[str], None]
    ) -> None:
        """`say` prints a line for the container's log."""
        self._settings = settings
        self._name = settings.certificate_name
        self._server = settings.acme_server if self._name else ""
        self._volume = volume
        self._run = run
        self._say = say
        self._authority = Authority(volume / "authority")
        self._acme = Acme(volume / "acme", settings.acme_server, settings.acme_email)

    def ensure(self) -> None:
        """Have something to serve without asking anybody, as each start of a container does."""
        now = time.time()
        own = self._own(now)
        self._serve(own, self._known(), now)
        self._say(report.serving(self._best(own, now)))

    def renew(self, at_once: bool) -> int:
        """Renew what is due; gives the seconds until there is something to do again.

        `at_once` does not wait for the time at which an ACME server that refused is asked again.
        """
        now = time.time()
        own = self._own(now)
        known = self._known()
        before = known.fingerprint_sha256
        if self._is_attempt_due(known, now, at_once):
            known = self._attempt(own, known)
            now = time.time()
        known = self._serve(own, known, now)
        if known.fingerprint_sha256 != before:
            self._say(report.serving(self._best(own, now)))
        return schedule.seconds_to_sleep((own.renewal, known.not_after, known.next_attempt), now)

    def _known(self) -> State:
        """What is known, if it is about the name and the server that are wanted now."""
        known = state.load(self._volume / state.FILE)
        if (known.name, known.server) == (self._name, self._server):
            return known
        return State(name=self._name, server=self._server)

    def _own(self, now: float) -> Certificate:
        """The internal authority's certificate, made anew when it is time."""
        made = self._authority.ensure(self._settings.container, now)
        if made:
            self._say(report.made(made))
        return self._authority.ensure_leaf(self._settings.names, now)

    def _given(self) -> Certificate | None:
        """The ACME server's certificate for the name, if there is one."""
        return self._acme.certificate(self._name) if self._name else None

    def _is_attempt_due(self, known: State, now: float, at_once: bool) -> bool:
        if not self._name:
            return False
        planned = known.next_attempt
        return schedule.is_attempt_due(self._given(), known.failures, planned, now, at_once)

    def _attempt(self, own: Certificate, known: State) -> State:
        """Ask the ACME server once; gives what is known then."""
        self._wait_for_gateway()
        # Counted before it is made, so that no crash and no full disk lets it be forgotten.
        known = _counted(known, time.time())
        state.save(known, self._volume / state.FILE)
        try:
            acme.clear(self._run / "challenges")
            self._acme.obtain(self._name)
        except (CertificatesError, OSError) as error:
            now = time.time()
            known = replace(_planned(known, now), last_error=str(error))
            best = self._best(own, now)
            self._say(report.failed(known, best, best is own, now))
            return known
        return replace(known, failures=(), last_error="")

    def _wait_for_gateway(self) -> None:
        deadline = time.monotonic() + GATEWAY_PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(GATEWAY, timeout=1):
                return
            time.sleep(0.1)

    def _best(self, own: Certificate, now: float) -> Certificate:
        """The ACME server's certificate as long as it is valid, else our own."""
        given = self._given()
        return given if given and given.is_valid(now) else own

    def _serve(self, own: Certificate, known: State, now: float) -> State:
        """Put the best certificate where nginx finds it; gives what is known then."""
        best = self._best(own, now)
        trusted = self._volume / "trusted"
        if best is own:
            trusted.unlink(missing_ok=True)
            self._put(self._authority.leaf_file.read_bytes())
        else:
            self._put(self._acme.bundle(self._name))
            trusted.touch(mode=FOR_NGINX)
        known = replace(
            known,
            issuer=INTERNAL if best is own else ACME,
            not_after=best.not_after,
            fingerprint_sha256=best.fingerprint,
            authority_fingerprint_sha256=self._authority.fingerprint,
        )
        if not known.failures:
            known = replace(known, next_attempt=self._renewal(own, now))
        # For the next container, and for those who may not enter the volume.
        state.save(known, self._volume / state.FILE, self._run / state.FILE)
        return known

    def _renewal(self, own: Certificate, now: float) -> int:
        """When a certificate is made or asked for next, where nothing went wrong."""
        if not self._name:
            return own.renewal
        given = self._given()
        return given.renewal if given else int(now)

    def _put(self, bundle: bytes) -> None:
        serving = self._volume / "serving.pem"
        if not serving.exists() or serving.read_bytes() != bundle:
            files.replace(serving, bundle, FOR_NGINX)


def _counted(known: State, now: float) -> State:
    """What is known when an attempt begins that may never end."""
    failures = (*known.failures, int(now))[-state.KEPT_FAILURES :]
    return _planned(replace(known, failures=failures), now)


def _planned(known: State, now: float) -> State:
    """The same with a time for the next attempt."""
    # No secret depends on this chance.
    chance = random.random()  # noqa: S311
    return replace(known, next_attempt=schedule.attempt_after(known.failures, now, chance))
