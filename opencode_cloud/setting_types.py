"""The kinds of values that settings have, each with the rule for it."""

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from opencode_cloud.setting_error import NAMESPACE, wrong
from opencode_cloud.spec.mounts import MountError, join_mounts, parse_mounts


def each(rule: Callable[[str], str]) -> AfterValidator:
    """Make a rule for one item a rule for a list that is written with commas."""
    return AfterValidator(lambda value: ",".join(rule(item) for item in items(value)))


def items(value: str) -> list[str]:
    """Read such a list."""
    return [item.strip() for item in value.split(",") if item.strip()]


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise wrong(
            "is not an IP address",
            "give one of this machine's addresses, such as 127.0.0.1 or ::1",
        ) from None


# Repository names and digests as the distribution specification writes them
# (github.com/distribution/reference).
BY_DIGEST = re.compile(r"[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*@sha256:[0-9a-f]{64}")


def _by_digest(value: str) -> str:
    if value and not BY_DIGEST.fullmatch(value):
        raise wrong(
            "names no digest, so what it is could change under you",
            "write it as REPOSITORY@sha256:<64 hex digits>",
        )
    return value


def _pem_file(value: str) -> str:
    if not value:
        return value
    path = Path(value)
    if not path.is_absolute():
        raise wrong("is not an absolute path", "write the whole path, from /")
    fix = "name a file of PEM certificates"
    try:
        if not path.is_file():
            raise wrong("does not exist or is not a file", fix)
        if "-----BEGIN CERTIFICATE-----" not in path.read_text(errors="replace"):
            raise wrong("holds no PEM certificate", fix)
    except OSError as error:
        raise wrong(f"cannot be read: {error.strerror}", fix) from None
    return value


LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
"""Let's Encrypt's directory (letsencrypt.org/docs/acme-protocol-updates)."""


class Tls(StrEnum):
    """Who encrypts; besides these, a domain name is a value of `tls`."""

    OFF = "off"
    INTERNAL = "internal"
    SSLIP = "sslip"
    ALB = "alb"


# Host names as RFC 1123 has them: labels of letters, digits and inner dashes, 63 characters each.
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


def _tls(value: str) -> str:
    if value in set(Tls):
        return value
    # The last label of an address is a number, that of a name never is.
    if not _HOSTNAME.fullmatch(value) or "." not in value or value.rpartition(".")[2].isdecimal():
        raise wrong(
            "is neither off, internal, sslip or alb, nor a domain name",
            "give one of these, or the name under which the world finds this deployment, "
            "such as opencode.example.org",
        )
    return value


def _public_address(value: str) -> str:
    return _address(value) if value else value


def _hostname(value: str) -> str:
    if not _HOSTNAME.fullmatch(value):
        raise wrong(
            f"holds {value!r}, which is not a host name",
            "write names in small letters, without scheme and port, separated by commas",
        )
    return value


def _network(value: str) -> str:
    fix = "list the addresses of your proxies, such as 10.0.0.7 or 10.0.0.0/24"
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise wrong(f"holds {value!r}, which is neither an address nor a network", fix) from None
    if not network.prefixlen:
        raise wrong(f"holds {value!r}: everybody could then claim any address", fix)
    return str(network)


def _optional_hostname(value: str) -> str:
    return _hostname(value) if value else value


# The partition, region and account of docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html.
_CERTIFICATE_ARN = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+")


def _certificate_arn(value: str) -> str:
    if value and not _CERTIFICATE_ARN.fullmatch(value):
        raise wrong(
            "is no certificate of AWS Certificate Manager",
            "write its ARN, arn:aws:acm:REGION:ACCOUNT:certificate/ID: `aws acm list-certificates` "
            "shows it",
        )
    return value


def _acme_server(value: str) -> str:
    if not re.fullmatch(r"https://[!-~]+", value):
        raise wrong("is not an https:// address", "give the URL of the authority's ACME directory")
    return value


def _email(value: str) -> str:
    if value and not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", value):
        raise wrong("is not an e-mail address", "write it as name@example.org, or leave it empty")
    return value


OPENCODE_MAJOR = 1
"""The major version of opencode that the image runs, and is tested with."""
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})", re.ASCII)


def _opencode_version(value: str) -> str:
    if not value:
        return value
    if not _VERSION.fullmatch(value):
        raise wrong(
            "is not a version", "write it whole, such as 1.18.33: `occ update --to VERSION` does"
        )
    if value.partition(".")[0] != str(OPENCODE_MAJOR):
        raise wrong(
            f"is of another major version than the one that this image runs, {OPENCODE_MAJOR}",
            f"choose a version that begins with {OPENCODE_MAJOR}., or use an opencode-cloud that "
            "is made for the other",
        )
    return value


# A SHA-512 in base64, as npm writes it (w3.org/TR/SRI), for each kind of machine.
_INTEGRITY = re.compile(r"(?:x64|arm64):sha512-[A-Za-z0-9+/]{86}==")


def _integrity(value: str) -> str:
    if not _INTEGRITY.fullmatch(value):
        raise wrong(
            "is not a list of MACHINE:sha512-BASE64 with x64 or arm64 as the machine",
            "let `occ update --to VERSION` write it",
        )
    return value


_KEPT_IMAGE = re.compile(r"opencode-cloud:[a-z0-9][a-z0-9_-]*-kept-[0-9a-f]{12}")


def _kept_image(value: str) -> str:
    if value and not _KEPT_IMAGE.fullmatch(value):
        raise wrong(
            "is not the name of an image that `occ update` kept",
            f"pulumi config rm {NAMESPACE}:kept_image, to have the image of the other settings",
        )
    return value


UNLESS_STOPPED = "unless-stopped"
"""The restart policy of somebody who said nothing."""
NO_RESTART = "no"
_RESTART_POLICY = re.compile(r"unless-stopped|always|no|on-failure:[1-9][0-9]{0,5}", re.ASCII)


def _restart_policy(value: str) -> str:
    if not _RESTART_POLICY.fullmatch(value):
        raise wrong(
            "is none of unless-stopped, always, no and on-failure:TIMES",
            "write one of these, such as on-failure:5 to give up after five restarts",
        )
    return value


_DOCKER_HOST = re.compile(r"(unix|npipe):///?.+")


def _docker_host(value: str) -> str:
    if not _DOCKER_HOST.fullmatch(value):
        raise wrong(
            "is not a local Docker socket",
            "write unix:///path/to/docker.sock (docker context inspect shows it); "
            "a Docker socket on TCP is never used, because it has no login",
        )
    return value


def _mounts(value: str) -> str:
    try:
        return join_mounts(parse_mounts(value))
    except MountError as error:
        raise wrong(error.why, error.fix) from None


_MAY_BE = "use an ordinary user's, such as 1000; 0 keeps the image's own"
# docker/Dockerfile and docker/accounts hand out these ids.
_SERVICES = range(800, 900)
_ACCOUNTS = range(2000, 65536)
# Debian's own end at 98; 99 is the nobody of Unraid, whose files people share.
_LEAST_ID = 99
LARGEST_ID = 2**31 - 1
_MACS_STAFF = 20
"""The group of everybody on a Mac; in the image, one that has no right."""


def _agents_id(value: int) -> int:
    if value in _SERVICES:
        raise wrong("belongs to the image's own services (800 to 899)", _MAY_BE)
    if value in _ACCOUNTS:
        raise wrong("belongs to the accounts that sign in (2000 to 65535)", _MAY_BE)
    return value


def _agents_user(value: int) -> int:
    if 0 < value < _LEAST_ID:
        raise wrong(f"belongs to Debian's own users (below {_LEAST_ID})", _MAY_BE)
    return _agents_id(value)


def _agents_group(value: int) -> int:
    # Such as shadow, whose members read password hashes.
    if 0 < value < _LEAST_ID and value != _MACS_STAFF:
        raise wrong(f"belongs to Debian's own groups (below {_LEAST_ID})", _MAY_BE)
    return _agents_id(value)


IpAddress = Annotated[str, AfterValidator(_address)]
ImageByDigest = Annotated[str, AfterValidator(_by_digest)]
PemFile = Annotated[str, AfterValidator(_pem_file)]
TlsChoice = Annotated[str, AfterValidator(_tls)]
OptionalAddress = Annotated[str, AfterValidator(_public_address)]
AcmeServer = Annotated[str, AfterValidator(_acme_server)]
Email = Annotated[str, AfterValidator(_email)]
OpencodeVersion = Annotated[str, AfterValidator(_opencode_version)]
KeptImage = Annotated[str, AfterValidator(_kept_image)]
RestartPolicy = Annotated[str, AfterValidator(_restart_policy)]
DockerSocket = Annotated[str, AfterValidator(_docker_host)]
Mounts = Annotated[str, AfterValidator(_mounts)]
OptionalHostname = Annotated[str, AfterValidator(_optional_hostname)]
CertificateArn = Annotated[str, AfterValidator(_certificate_arn)]
Hostnames = Annotated[str, each(_hostname)]
Networks = Annotated[str, each(_network)]
Integrities = Annotated[str, each(_integrity)]
AgentUser = Annotated[int, AfterValidator(_agents_user)]
AgentGroup = Annotated[int, AfterValidator(_agents_group)]
