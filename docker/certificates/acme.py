"""Certificates of an ACME server, had with Debian's uacme over HTTP (challenge http-01).

uacme keeps, in a folder for each server: `private/key.pem`, the account's key;
`private/NAME/key.pem`, a certificate's key, which stays the same; and `NAME/cert.pem`, the
certificate with its chain.
"""

import json
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from certificates import CertificatesError, files
from certificates.authority import belong_together
from certificates.certificate import Certificate, read
from certificates.words import moment

HOOK = "/usr/lib/opencode-cloud/acme-hook"
PATIENCE = 300
"""Seconds that an attempt may take."""
UNREAD_CHALLENGES = 9
"""How often an attempt begins anew for them; where one of five has no token, each does by half."""
LONGEST_ERROR = 500
"""Characters; servers quote what they were answered."""
_REPORTED = "the server reported the following error:"
_AUTHORIZATION = {"connection", "dns", "incorrectResponse", "tls", "unauthorized", "caa"}
"""Errors that the name, or the way to this machine, has to answer for."""


class AcmeError(CertificatesError):
    """There is no new certificate; the message is what the server said."""


class UnreadChallengeError(AcmeError):
    """uacme stopped before it had asked for anything.

    uacme 1.7.6 does so at a challenge that has no token, as dns-persist-01 has none, instead of
    looking for one that it can meet. Servers give challenges in an order that is random each time.
    """


class Acme:
    """An account at one ACME server, and the certificates that it gave."""

    def __init__(self, folder: Path, server: str, email: str) -> None:
        """`folder` is for all servers, `server` the URL of a directory, `email` may be empty."""
        self._folder = folder / folder_name(server)
        self._server = server
        self._email = email
        self._account = self._folder / "account"

    def certificate(self, name: str) -> Certificate | None:
        """The certificate for `name` that the server gave last; None when it is of no use."""
        key, certificate = self._files(name)
        if not (key.exists() and certificate.exists() and belong_together(certificate, key)):
            return None
        found = read(certificate)
        return found if name in found.names else None

    def bundle(self, name: str) -> bytes:
        """Key, certificate and chain for `name`, as one file for nginx."""
        return b"".join(file.read_bytes() for file in self._files(name))

    def obtain(self, name: str) -> None:
        """Ask for a new certificate for `name`; takes seconds. Raises AcmeError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ensure_account()
        try:
            self._issue(name)
        finally:
            self._remove_old(name)
        now = time.time()
        given = self.certificate(name)
        # Without this, a clock that is behind would ask for one certificate after the other.
        if given is None or given.is_due(now):
            raise AcmeError(
                f"the server gave a certificate that is of no use for {name} at {moment(now)}, "
                "which is what this machine's clock says"
            )

    def _issue(self, name: str) -> None:
        issue = ("--force", "--hook", HOOK, "issue", name)
        for _ in range(UNREAD_CHALLENGES):
            with suppress(UnreadChallengeError):
                return self._uacme(*issue)
        return self._uacme(*issue)

    def _ensure_account(self) -> None:
        """Have an account with the e-mail address; `account` says which one it has."""
        contact = [self._email] if self._email else []
        if not self._account.exists():
            self._uacme("--yes", "--", "new", *contact)
        elif self._account.read_text(encoding="utf-8") != self._email:
            self._uacme("--", "update", *contact)
        files.replace(self._account, self._email.encode())

    def _uacme(self, *arguments: str) -> None:
        command = ["uacme", "--confdir", str(self._folder), "--acme-url", self._server]
        # Verbose, because it keeps to itself why a challenge failed otherwise. Neither the server's
        # advice on when to renew nor the revocation service is asked: that it is due is decided.
        command += ["--verbose", "--type", "EC", "--no-ari", "--no-ocsp", *arguments]
        try:
            done = subprocess.run(
                command,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AcmeError(f"{self._server} took longer than {PATIENCE} seconds") from None
        output = done.stdout.decode(errors="replace")
        if done.returncode == 0 or "Account already exists" in output:
            return
        if "Consider trying 'new'" in output:
            self._account.unlink(missing_ok=True)
        if "failed to parse challenge" in output:
            raise UnreadChallengeError("uacme could not read the challenges of the server")
        raise AcmeError(what_was_said(output))

    def _files(self, name: str) -> tuple[Path, Path]:
        return self._folder / "private" / name / "key.pem", self._folder / name / "cert.pem"

    def _remove_old(self, name: str) -> None:
        for old in (self._folder / name).glob("cert-*.pem"):
            old.unlink()


def folder_name(server: str) -> str:
    """What the folder of a server is called."""
    return re.sub(r"[^a-z0-9.-]+", "_", server.lower())


def clear(challenges: Path) -> None:
    """Forget the challenges of an attempt that did not come to its end."""
    for left in challenges.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def what_was_said(output: str) -> str:
    """What went wrong, in one line, from all that uacme printed."""
    before, _, report = output.rpartition(_REPORTED)
    if before:
        return _plain(_problem(report))
    lines = [line.removeprefix("uacme: ") for line in output.splitlines() if line.strip()]
    failed = [line.partition("curl_get: ")[2] for line in lines if "curl_get: GET " in line]
    return _plain((failed or lines or ["uacme failed without a word"])[-1])


def advice(error: str, name: str, server: str) -> str:
    """What to do about an error of `what_was_said`; empty when there is nothing to say."""
    kind = re.match(r"urn:ietf:params:acme:error:(\w+)", error)
    if kind and kind[1] in _AUTHORIZATION:
        return f"Port 80 of {name} must reach this machine from the internet."
    if error.startswith("GET "):
        return f"The container must be able to reach {server}."
    return ""


def _problem(report: str) -> str:
    """An RFC 8555 problem as text: the error that is behind it, if it names several."""
    try:
        problem = json.JSONDecoder().raw_decode(report.strip())[0]
        inner = problem.get("subproblems") or [problem]
        return "; ".join(f"{one['type']}: {one['detail']}" for one in inner)
    except (ValueError, KeyError, TypeError, AttributeError):
        return report


def _plain(text: str) -> str:
    """Text as one line that can be printed anywhere: others wrote it."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    line = " ".join(words)
    return line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]} …"
