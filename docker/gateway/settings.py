"""The container's environment as the gateway's settings: read and checked in one place."""

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
"""The authority that is asked for certificates (letsencrypt.org/docs/acme-protocol-updates)."""
HTTP_PORT, HTTPS_PORT = 80, 443
"""Ports that an address need not name."""
OFF, INTERNAL, SSLIP = "off", "internal", "sslip"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_Value = TypeVar("_Value")
_PREFIX = "OPENCODE_CLOUD_"
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


class SettingsError(Exception):
    """A variable of the environment cannot be used; the message says which, and why."""


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """How the gateway is reached, and what it allows."""

    tls: str = OFF
    """off, internal, sslip, or the domain to get a certificate for."""
    hostnames: tuple[str, ...] = ()
    """Names besides localhost and the certificate's by which it may be reached."""
    public_address: str = ""
    """Address by which the world reaches it; empty when unknown."""
    published_port: int = HTTP_PORT
    """Port in the address that people open."""
    trust_proxy: tuple[Network, ...] = ()
    """Whose word about a client's address and scheme is taken."""
    proxy_protocol: bool = False
    """Whether connections begin with the PROXY protocol's header."""
    rate_limit_attempts: int = 5
    """Wrong passwords that an address, or an account, has in a window."""
    rate_limit_window_seconds: int = 60
    metrics: bool = False
    """Whether /metrics is answered, on a port of its own."""
    acme_server: str = LETS_ENCRYPT
    """URL of the directory of the authority that is asked for a certificate."""
    acme_email: str = ""
    """Whom that authority writes to; may be empty."""
    container: str = "localhost"
    """The container's own name."""

    @property
    def has_tls(self) -> bool:
        """Whether the gateway itself speaks HTTPS."""
        return self.tls != OFF

    @property
    def certificate_name(self) -> str:
        """The public name to get a certificate for; empty when there is none."""
        if self.tls in (OFF, INTERNAL):
            return ""
        if self.tls != SSLIP:
            return self.tls
        # sslip.io answers with the address in the name, with dashes for dots and colons.
        return re.sub(r"[.:]", "-", self.public_address) + ".sslip.io"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name and address that a certificate of our own is made out to."""
        local = ("localhost", "127.0.0.1", "::1", self.container, self.public_address)
        wanted = (self.certificate_name, *self.hostnames, *local)
        return tuple(dict.fromkeys(name for name in wanted if name))


def load(environment: Mapping[str, str], container: str = "") -> GatewaySettings:
    """Read the settings from the container's environment; empty variables count as unset.

    Raises:
        SettingsError: when one cannot be used.
    """
    reader = _Reader(environment)
    tls = reader.one("TLS", _tls, OFF)
    public_address = reader.one("PUBLIC_ADDRESS", _address, "")
    if tls == SSLIP and not public_address:
        raise SettingsError(f"{_PREFIX}TLS is {SSLIP}, which needs {_PREFIX}PUBLIC_ADDRESS")
    return GatewaySettings(
        tls=tls,
        hostnames=reader.many("HOSTNAMES", _hostname),
        public_address=public_address,
        published_port=reader.one("PUBLISHED_PORT", _port, HTTP_PORT if tls == OFF else HTTPS_PORT),
        trust_proxy=reader.many("TRUST_PROXY", ipaddress.ip_network),
        proxy_protocol=reader.one("PROXY_PROTOCOL", _flag, False),
        rate_limit_attempts=reader.one("RATE_LIMIT_ATTEMPTS", _count, 5),
        rate_limit_window_seconds=reader.one("RATE_LIMIT_WINDOW_SECONDS", _count, 60),
        metrics=reader.one("METRICS", _flag, False),
        acme_server=reader.one("ACME_SERVER", _url, LETS_ENCRYPT),
        acme_email=reader.one("ACME_EMAIL", _email, ""),
        container=container or socket.gethostname().lower(),
    )


class _Reader:
    """Takes values out of an environment, and says which could not be read."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def one(self, name: str, parse: Callable[[str], _Value], default: _Value) -> _Value:
        text = self._environment.get(_PREFIX + name, "").strip()
        return self._parse(name, text, parse) if text else default

    def many(self, name: str, parse: Callable[[str], _Value]) -> tuple[_Value, ...]:
        text = self._environment.get(_PREFIX + name, "")
        items = (item.strip() for item in text.split(","))
        return tuple(self._parse(name, item, parse) for item in items if item)

    def _parse(self, name: str, text: str, parse: Callable[[str], _Value]) -> _Value:
        try:
            return parse(text)
        except ValueError as error:
            raise SettingsError(f"{_PREFIX}{name}: {text!r} {error}") from None


def _tls(text: str) -> str:
    value = text.lower()
    if value in (OFF, INTERNAL, SSLIP):
        return value
    if "." not in value:
        raise ValueError(f"is none of {OFF}, {INTERNAL}, {SSLIP}, and no domain name")
    return _hostname(value)


def _hostname(text: str) -> str:
    value = text.lower()
    if not _HOSTNAME.fullmatch(value):
        raise ValueError("is not a host name")
    return value


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 1 << 16:
        raise ValueError("is not a port")
    return port


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError("is less than 1")
    return count


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text == "true"


def _url(text: str) -> str:
    if not re.fullmatch(r"https://[!-~]+", text):
        raise ValueError("is not an https:// address")
    return text


def _email(text: str) -> str:
    if not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", text):
        raise ValueError("is not an e-mail address")
    return text
