"""Certificate authorities that this machine trusts besides its distribution's.

A company's proxy signs what it lets through with an authority of its own. What is
built here must trust it as the machine does.
"""

import re
import ssl
from collections.abc import Iterable
from pathlib import Path

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
"""Every authority that the machine trusts."""
DISTRIBUTED = Path("/usr/share/ca-certificates")
"""Those among them that the distribution ships."""

_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----\s.+?\s-----END CERTIFICATE-----", re.DOTALL | re.ASCII
)


def extra(bundle: Path = BUNDLE, distributed: Path = DISTRIBUTED) -> str:
    """Give the PEM text of the authorities that the distribution does not ship.

    Empty when there is none, or no such bundle. The same authorities always give
    the same text, so that an image built with it is not built anew.
    """
    if not bundle.exists() or not distributed.is_dir():
        return ""
    shipped = {
        certificate
        for path in distributed.rglob("*.crt")
        for certificate in _certificates(path.read_text(errors="replace"))
    }
    added = set(_certificates(bundle.read_text(errors="replace"))) - shipped
    return "".join(ssl.DER_cert_to_PEM_cert(certificate) for certificate in sorted(added))


def _certificates(text: str) -> Iterable[bytes]:
    return [ssl.PEM_cert_to_DER_cert(pem) for pem in _PEM.findall(text)]
