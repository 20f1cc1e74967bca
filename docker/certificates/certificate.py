"""One certificate: read with openssl, and judged."""

import ipaddress
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from certificates import CertificatesError

RENEWED_WITH_LEFT = 3
"""Renewed when one part in this many of its life is left: 30 days of 90, 2 of 6."""
_FIELDS = ("-issuer", "-dates", "-fingerprint", "-ext", "subjectAltName")
_LINE = r"^(issuer|notBefore|notAfter|sha256 Fingerprint)=(.*)$"
_FORM = ("-sha256", "-dateopt", "iso_8601", "-nameopt", "sep_comma_plus_space,utf8")


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a certificate says of itself. Times are in seconds since 1970."""

    names: tuple[str, ...]
    """Host names and addresses that it is made out to."""
    issuer: str
    not_before: int
    not_after: int
    fingerprint: str
    """SHA-256 in pairs of hexadecimal digits, with colons, as browsers show it."""

    @property
    def renewal(self) -> int:
        """When a new one shall be had."""
        return self.not_after - (self.not_after - self.not_before) // RENEWED_WITH_LEFT

    def is_valid(self, now: float) -> bool:
        """Whether clients take it at `now`, if they trust who made it."""
        return self.not_before <= now < self.not_after

    def is_due(self, now: float) -> bool:
        """Whether a new one shall be had at `now`."""
        return now >= self.renewal or not self.is_valid(now)


def read(file: Path) -> Certificate:
    """The first certificate in a PEM file, which may hold a key as well.

    Raises CertificatesError when there is none, OSError when the file cannot be read.
    """
    pem = file.read_bytes()
    command = ["openssl", "x509", "-noout", *_FIELDS, *_FORM]
    done = subprocess.run(command, input=pem, capture_output=True, check=False)
    if done.returncode != 0:
        raise CertificatesError(f"{file} holds no certificate")
    return parse(done.stdout.decode(errors="replace"))


def parse(text: str) -> Certificate:
    """The certificate that `openssl x509` describes in `text`; raises CertificatesError."""
    fields = dict(re.findall(_LINE, text, re.MULTILINE))
    try:
        return Certificate(
            names=tuple(_names(text)),
            issuer=fields["issuer"].strip(),
            not_before=_time(fields["notBefore"]),
            not_after=_time(fields["notAfter"]),
            fingerprint=fields["sha256 Fingerprint"].strip(),
        )
    except (KeyError, ValueError) as error:
        raise CertificatesError(f"openssl described a certificate without its {error}") from None


def _time(text: str) -> int:
    return int(datetime.strptime(text.strip(), "%Y-%m-%d %H:%M:%S%z").timestamp())


def _names(text: str) -> list[str]:
    found = re.findall(r"\b(DNS|IP Address):([^,\s]+)", text)
    return [str(ipaddress.ip_address(name)) if kind != "DNS" else name for kind, name in found]
