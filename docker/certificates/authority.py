"""The authority of this deployment: people who trust it once trust every certificate it makes.

Its certificate is in `ca.pem`, its key in `ca.key`, and the one that it makes for the gateway in
`leaf.pem`: key, certificate and authority in one file. All is made with the openssl command.
"""

import ipaddress
import re
import secrets
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from certificates import CertificatesError, files
from certificates.certificate import Certificate, read

DAY = 86400
"""Seconds."""
LIFE = 3650 * DAY
LEAF_LIFE = 90 * DAY
EARLIER = 3600
"""Seconds before now at which a certificate begins, for clients whose clocks are behind."""
LONGEST_COMMON_NAME = 64
"""Characters, by X.509."""
_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


class Authority:
    """The authority in `folder`, which nobody but its owner may enter."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.certificate_file = folder / "ca.pem"
        self.key_file = folder / "ca.key"
        self.leaf_file = folder / "leaf.pem"

    def ensure(self, owner: str, now: float) -> Certificate | None:
        """Make the authority when there is none that lasts; gives it when it is new.

        `owner` is what people shall know it by. One that exists is kept until it could not
        outlive a certificate that it makes.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._can_sign(now):
            return None
        name = f"opencode-cloud {common_name([owner], 32)} {secrets.token_hex(4)}"
        key, certificate = self._make(authority_request(name), now, LIFE)
        # In this order: a key without its certificate is no authority, and is made anew.
        self.certificate_file.unlink(missing_ok=True)
        files.replace(self.key_file, key)
        files.replace(self.certificate_file, certificate)
        self.leaf_file.unlink(missing_ok=True)
        return read(self.certificate_file)

    def ensure_leaf(self, names: Iterable[str], now: float) -> Certificate:
        """Give the certificate for exactly `names`, made anew when it is time."""
        wanted = certifiable(names)
        leaf = self._leaf()
        if leaf and fits(leaf, wanted, now):
            return leaf
        signing = ("-CA", str(self.certificate_file), "-CAkey", str(self.key_file))
        key, certificate = self._make(leaf_request(wanted), now, LEAF_LIFE, *signing)
        files.replace(self.leaf_file, key + certificate + self.certificate_file.read_bytes())
        return read(self.leaf_file)

    @property
    def fingerprint(self) -> str:
        """By which people recognize it."""
        return read(self.certificate_file).fingerprint

    def _can_sign(self, now: float) -> bool:
        if not (self.certificate_file.exists() and self.key_file.exists()):
            return False
        if not belong_together(self.certificate_file, self.key_file):
            return False
        return now + LEAF_LIFE < read(self.certificate_file).not_after

    def _leaf(self) -> Certificate | None:
        if not (self.leaf_file.exists() and belong_together(self.leaf_file)):
            return None
        return read(self.leaf_file)

    def _make(self, request: str, now: float, life: int, *signing: str) -> tuple[bytes, bytes]:
        with tempfile.TemporaryDirectory(dir=self._folder) as temporary:
            key, certificate = Path(temporary, "key"), Path(temporary, "certificate")
            command = ["openssl", "req", "-x509", "-new", "-sha256", "-config", "/dev/stdin"]
            command += [*_KEY, "-keyout", str(key), "-out", str(certificate), *signing]
            command += ["-not_before", _moment(now - EARLIER), "-not_after", _moment(now + life)]
            _run(command, request)
            return key.read_bytes(), certificate.read_bytes()


def fits(leaf: Certificate, names: Iterable[str], now: float) -> bool:
    """Whether a certificate is for exactly `names`, and will be for long enough."""
    return set(leaf.names) == set(names) and not leaf.is_due(now)


def certifiable(names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` that a certificate can hold; a machine may be called anything."""
    return tuple(name for name in names if _is_address(name) or _HOST.fullmatch(name))


def common_name(names: Iterable[str], longest: int = LONGEST_COMMON_NAME) -> str:
    """What to call a certificate for `names`: the first that X.509 has room for."""
    fitting = (name for name in certifiable(names) if len(name) <= longest)
    return next(fitting, "opencode-cloud")


def authority_request(name: str) -> str:
    """openssl's configuration for the certificate of an authority called `name`."""
    return _request(
        name,
        "basicConstraints = critical, CA:TRUE, pathlen:0",
        "keyUsage = critical, keyCertSign, cRLSign",
        "subjectKeyIdentifier = hash",
    )


def leaf_request(names: Iterable[str]) -> str:
    """openssl's configuration for a web server's certificate for `names`."""
    wanted = tuple(names)
    alternatives = [
        f"{'IP' if _is_address(name) else 'DNS'}.{number} = {name}"
        for number, name in enumerate(wanted)
    ]
    return _request(
        common_name(wanted),
        "basicConstraints = critical, CA:FALSE",
        "keyUsage = critical, digitalSignature",
        "extendedKeyUsage = serverAuth",
        "subjectKeyIdentifier = hash",
        "authorityKeyIdentifier = keyid",
        "subjectAltName = @names",
        "[names]",
        *alternatives,
    )


def belong_together(certificate: Path, key: Path | None = None) -> bool:
    """Whether nginx could serve a certificate with a key, which may be in the same file."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError:
        return False
    return True


def _request(name: str, *extensions: str) -> str:
    lines = ["[req]", "prompt = no", "string_mask = utf8only", "distinguished_name = subject"]
    lines += ["x509_extensions = extensions", "[subject]", f"CN = {name}"]
    return "\n".join([*lines, "[extensions]", *extensions, ""])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%SZ")


def _run(command: list[str], request: str) -> None:
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CertificatesError(f"openssl failed ({done.returncode}): {done.stderr.strip()}")
