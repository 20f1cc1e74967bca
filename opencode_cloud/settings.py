"""What a deployment can be told: the one settings model.

Everything else that speaks of settings is derived from here (see
``opencode_cloud.derive``): the ``config:`` block of ``Pulumi.yaml``, the JSON
schema of the stack files, and the table in ``docs/settings.md``.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from opencode_cloud.cloud_settings import CLOUD_DEFAULTS, CLOUDS, CloudSettings, Target
from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.setting_error import wrong
from opencode_cloud.spec.mounts import BindMount, MountError, join_mounts, parse_mounts

NAMESPACE = "opencode"
"""Prefix of every key in a stack's configuration: the Pulumi project's name."""


_HTTPS_PORT = 443


class BootMode(StrEnum):
    """Whose service manager has the service unit."""

    USER = "user"
    SYSTEM = "system"


class ImageSource(StrEnum):
    """How a deployment gets its image."""

    PREBUILT = "prebuilt"
    BUILD = "build"


class BuiltOn(StrEnum):
    """Where an image is built, for a deployment on a host over SSH."""

    HOST = "host"
    HERE = "here"


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
_BY_DIGEST = re.compile(r"[a-z0-9]+(?:[._:/-]+[a-z0-9]+)*@sha256:[0-9a-f]{64}")


def _by_digest(value: str) -> str:
    if value and not _BY_DIGEST.fullmatch(value):
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


# Host names as RFC 1123 has them: labels of letters, digits and inner dashes, 63 characters each.
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


def _tls(value: str) -> str:
    if value in set(Tls):
        return value
    # The last label of an address is a number, that of a name never is.
    if not _HOSTNAME.fullmatch(value) or "." not in value or value.rpartition(".")[2].isdecimal():
        raise wrong(
            "is neither off, internal or sslip, nor a domain name",
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


def _each(rule: Callable[[str], str]) -> AfterValidator:
    """Make a rule for one item a rule for a list that is written with commas."""
    return AfterValidator(lambda value: ",".join(rule(item) for item in _items(value)))


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


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


# A name or an address, as ssh takes it: nothing that it could read as an option.
_SSH_HOST = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)",
    re.ASCII,
)
_SSH_HOST_WITH_PORT = re.compile(rf"{_SSH_HOST.pattern}(?::[0-9]{{1,5}})?", re.ASCII)


def _ssh_host(value: str) -> str:
    if value and not _SSH_HOST.fullmatch(value):
        raise wrong(
            "is no host that ssh could be given",
            "write HOST or USER@HOST, with a name, an address, or a Host of ~/.ssh/config; a port "
            "has a setting of its own, ssh_port",
        )
    return value


def _ssh_jump(value: str) -> str:
    if not _SSH_HOST_WITH_PORT.fullmatch(value):
        raise wrong(
            f"holds {value!r}, which is no host to jump through",
            "write USER@HOST or USER@HOST:PORT, with commas between several",
        )
    return value


# RFC 4253, section 6.6: the key's own bytes begin with the length of its type's name, so that
# what is copied in part shows.
_SSH_KEY = re.compile(r"(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}")


def _ssh_host_key(value: str) -> str:
    if not _SSH_KEY.fullmatch(value):
        raise wrong(
            f"holds {value[:30]!r}, which is no public key of a host",
            "let `occ host add` look it up and show it, or take TYPE and BASE64 of a line of the "
            "host's /etc/ssh/ssh_host_*_key.pub",
        )
    return value


def _absolute(value: str) -> str:
    if value and not value.startswith("/"):
        raise wrong("is not an absolute path", "write the whole path, from /")
    return value


_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def _group(value: str) -> str:
    if not _GROUP.fullmatch(value):
        raise wrong(
            f"holds {value!r}, which is no name of a group", "use up to 40 of a-z, 0-9, _ and -"
        )
    return value


_MAY_BE = "use an ordinary user's, such as 1000; 0 keeps the image's own"
# docker/Dockerfile and docker/accounts hand out these ids.
_SERVICES = range(800, 900)
_ACCOUNTS = range(2000, 65536)
# Debian's own end at 98; 99 is the nobody of Unraid, whose files people share.
_LEAST_ID = 99
_LARGEST_ID = 2**31 - 1
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


_REACHABLE = "can be reached by other machines"
_EXPOSED = f"{_REACHABLE}, and the connection is not encrypted"


class Settings(CloudSettings):
    """One deployment, described once. Frozen; unknown keys are refused.

    A rule over two settings stands on the later of them, as a field's own rule:
    a rule over the whole model would stay silent until every field is right, and
    people want to see all that is wrong at once.
    """

    ssh_host: Annotated[str, AfterValidator(_ssh_host)] = Field(
        default="",
        validate_default=True,
        description="Host to reach by ssh, as `[USER@]HOST`: a name, an address, or a `Host` of "
        "`~/.ssh/config`. `occ host add` writes it.",
    )
    ssh_host_key: Annotated[str, _each(_ssh_host_key)] = Field(
        default="",
        validate_default=True,
        description="The host's own public keys, each `TYPE BASE64`, with commas between. Nothing "
        "is sent to a host that has another one.",
    )
    ssh_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port of the host's SSH server. 0: as ssh decides, mostly 22.",
    )
    ssh_identity_file: Annotated[str, AfterValidator(_absolute)] = Field(
        default="",
        description="Private key to sign in with. Empty: as ssh decides, with its agent.",
    )
    ssh_jump: Annotated[str, _each(_ssh_jump)] = Field(
        default="",
        description="Hosts to go through, as `[USER@]HOST[:PORT]`, with commas between. Empty: as "
        "`~/.ssh/config` says.",
    )
    groups: Annotated[str, _each(_group)] = Field(
        default="",
        description="Groups that the deployment belongs to, with commas between: `occ --group "
        "NAME` works on all of one.",
    )
    port: int = Field(
        default=4096,
        ge=1,
        le=65535,
        description="Port on the host at which the login page and opencode answer.",
    )
    public_address: Annotated[str, AfterValidator(_public_address)] = Field(
        default="",
        description="IP address by which the world reaches this deployment. "
        "`tls: sslip` makes its name of it.",
    )
    tls: Annotated[str, AfterValidator(_tls)] = Field(
        default=Tls.OFF.value,
        description="`off`: plain HTTP, for loopback or behind a proxy. `internal`: HTTPS by an "
        "authority of its own. `sslip`: a public certificate for `public_address`'s sslip.io "
        "name. Or the domain to get a public certificate for.",
    )
    http_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on the host that sends HTTP on to HTTPS. 0: 80 where a public "
        "certificate is got (the authority asks there), otherwise none.",
    )
    acme_server: Annotated[str, AfterValidator(_acme_server)] = Field(
        default=LETS_ENCRYPT,
        description="ACME directory of the authority that gives public certificates. Using it "
        "means that you agree to its terms.",
    )
    acme_email: Annotated[str, AfterValidator(_email)] = Field(
        default="",
        description="Where that authority writes to when something is wrong. May be empty.",
    )
    hostnames: Annotated[str, _each(_hostname)] = Field(
        default="",
        description="Names, with commas between, by which the deployment may be reached besides "
        "localhost and `tls`'s. Requests for other names are refused.",
    )
    trust_proxy: Annotated[str, _each(_network)] = Field(
        default="",
        description="Addresses and networks, with commas between, of the proxies whose "
        "X-Forwarded-For and X-Forwarded-Proto are believed. 127.0.0.1 stands for a proxy on "
        "the Docker host.",
    )
    proxy_protocol: bool = Field(
        default=False,
        description="Connections begin with the PROXY protocol's header, and those from "
        "`trust_proxy` are believed. Nothing else can connect then.",
    )
    rate_limit_attempts: int = Field(
        default=5,
        ge=1,
        description="Wrong passwords that one address, or one account, has in "
        "`rate_limit_window_seconds`.",
    )
    rate_limit_window_seconds: int = Field(
        default=60,
        ge=1,
        description="Length of the window in which `rate_limit_attempts` are counted.",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on the host's loopback at which `/metrics` answers Prometheus. 0: none.",
    )
    allow_network_exposure: bool = Field(
        default=False,
        description="Allows a `bind_address` that other machines can reach. Without `tls`, put a "
        "TLS proxy or a VPN in front: the connection is not encrypted.",
    )
    bind_address: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1",
        description="Address on the host to listen on. Beyond loopback it needs "
        "`allow_network_exposure`.",
    )
    image_source: ImageSource = Field(
        default=ImageSource.PREBUILT,
        description="`prebuilt` pulls `prebuilt_image`; `build` builds `docker/Dockerfile`.",
    )
    prebuilt_image: Annotated[str, AfterValidator(_by_digest)] = Field(
        default="",
        validate_default=True,
        description="Image to pull, as REPOSITORY@sha256:DIGEST. Needed with "
        "`image_source: prebuilt`.",
    )
    image_built_on: BuiltOn = Field(
        default=BuiltOn.HOST,
        description="Where an image for a host over SSH is built: on the `host`, or `here`, on "
        "this machine's Docker engine, and then sent to it without a registry.",
    )
    base_image: str = Field(
        default="",
        description="Debian 13 image to build on. Empty: the one that `docker/Dockerfile` pins.",
    )
    extra_ca_file: Annotated[str, AfterValidator(_pem_file)] = Field(
        default="",
        description="PEM file of certificate authorities that a built image trusts besides "
        "Debian's, for instance a company proxy's.",
    )
    opencode_version: Annotated[str, AfterValidator(_opencode_version)] = Field(
        default="",
        description="Version of opencode in a built image. Empty: the one that "
        "`docker/package-lock.json` pins. `occ update --to VERSION` writes it.",
    )
    opencode_integrity: Annotated[str, _each(_integrity)] = Field(
        default="",
        validate_default=True,
        description="What `opencode_version` is known by: the SHA-512 of its package for x64, "
        "arm64 or both, as `occ update --to VERSION` writes it. The build refuses anything else.",
    )
    kept_image: Annotated[str, AfterValidator(_kept_image)] = Field(
        default="",
        description="Image on the Docker host to run instead of all that the settings above say. "
        "`occ update` writes it when it goes back, and removes it at the next update.",
    )
    update_check: bool = Field(
        default=True,
        description="`occ update` also asks npm's registry for a newer opencode, and `occ status` "
        "says when one was found. `occ update --check` asks in any case.",
    )
    docker_host: Annotated[str, AfterValidator(_docker_host)] = Field(
        default="unix:///var/run/docker.sock",
        description="Socket of the Docker engine to use, on the host where it runs. DOCKER_HOST is "
        "not read.",
    )
    memory_mb: int = Field(
        default=2048,
        ge=1024,
        description="Most memory the container may use, in MiB. opencode needs 1024 to work in.",
    )
    cpus: int = Field(
        default=0,
        ge=0,
        description="Most processors the container may use. 0: all of the host's.",
    )
    mounts: Annotated[str, AfterValidator(_mounts)] = Field(
        default="",
        description="Folders of the host in the container, with commas between: "
        "`/host/folder:/container/folder`, with `:ro` behind it for read-only.",
    )
    puid: Annotated[int, AfterValidator(_agents_user)] = Field(
        default=0,
        ge=0,
        le=_LARGEST_ID,
        description="User id of the agent in the container, and so on the host the owner of what "
        "it makes in `mounts`. 0: the image's own, 1000.",
    )
    pgid: Annotated[int, AfterValidator(_agents_group)] = Field(
        default=0,
        ge=0,
        le=_LARGEST_ID,
        description="Group id of the agent, likewise. 0: the image's own, 1000.",
    )
    service_unit: bool = Field(
        default=False,
        description="The host's own service manager (systemd, launchd, Windows' scheduler) starts "
        "the container and starts it again, and not Docker. `occ install` sets it.",
    )
    boot_mode: BootMode = Field(
        default=BootMode.USER,
        description="Whose service the unit is: `user` needs no root, and on Linux that the user "
        "lingers; `system` is the machine's own, and needs root. For `service_unit` alone.",
    )
    restart_retries: int = Field(
        default=3,
        ge=0,
        le=1000,
        description="How often in a row the unit starts the container again after it ended; it "
        "gives up then. A run of a minute or more ends the row. For `service_unit` alone.",
    )
    restart_delay: int = Field(
        default=5,
        ge=0,
        le=3600,
        description="Seconds that the unit waits before each of them. For `service_unit` alone.",
    )
    restart_policy: Annotated[str, AfterValidator(_restart_policy)] = Field(
        default=UNLESS_STOPPED,
        description="When the Docker engine starts the container again after it ended, or after "
        "the machine did: `unless-stopped`, `always`, `no`, or `on-failure:TIMES`. Under "
        "`service_unit`, Docker never does.",
    )
    delete_data_on_destroy: str = Field(
        default="",
        description="The stack's own name, in so many words, makes `pulumi destroy` delete its "
        "volumes: sessions, projects and users. Takes an `up` to arm. Empty: they stay.",
    )

    @field_validator("ssh_host")
    @classmethod
    def _ssh_has_a_host(cls, value: str, info: ValidationInfo) -> str:
        target = info.data.get("target")
        if target is Target.SSH and not value:
            raise wrong(
                "is empty, and target is ssh",
                "occ host add NAME [USER@]HOST makes such a stack, or: "
                f"pulumi config set {NAMESPACE}:ssh_host [USER@]HOST",
            )
        if target is Target.LOCAL and value:
            raise wrong(
                "names a host, and target is local, which would not be reached by it",
                f"pulumi config set {NAMESPACE}:target ssh, or pulumi config rm "
                f"{NAMESPACE}:ssh_host",
            )
        return value

    @field_validator("ssh_host_key")
    @classmethod
    def _host_is_pinned(cls, value: str, info: ValidationInfo) -> str:
        if value or not info.data.get("ssh_host"):
            return value
        raise wrong(
            "is empty, so that anybody could pretend to be the host",
            "occ host edit NAME --accept-host-key looks it up, shows it, and writes it",
        )

    @field_validator("bind_address")
    @classmethod
    def _exposure_is_asked_for(cls, value: str, info: ValidationInfo) -> str:
        if _is_loopback(value) or info.data.get("allow_network_exposure", True):
            return value
        # It is rented to be reached, and speaks HTTPS alone.
        if info.data.get("target") in CLOUDS:
            return value
        raise wrong(
            _EXPOSED if info.data.get("tls", Tls.OFF) == Tls.OFF else _REACHABLE,
            "keep 127.0.0.1 and tunnel to it (ssh -L), or ask for it in so many words: "
            f"pulumi config set {NAMESPACE}:allow_network_exposure true",
        )

    @field_validator("service_unit")
    @classmethod
    def _clouds_have_their_own_unit(cls, value: bool, info: ValidationInfo) -> bool:
        if not value or info.data.get("target") not in CLOUDS:
            return value
        raise wrong(
            "is true, and a rented machine has a unit of its own that brings the deployment up",
            f"pulumi config rm {NAMESPACE}:service_unit",
        )

    @field_validator("tls")
    @classmethod
    def _clouds_speak_https(cls, value: str, info: ValidationInfo) -> str:
        target = info.data.get("target")
        if value != Tls.OFF or target not in CLOUDS:
            return value
        raise wrong(
            f"is off, and target is {target}, whose passwords would cross the internet readable",
            f"pulumi config rm {NAMESPACE}:tls, which gives it a certificate, or set a domain",
        )

    @field_validator("tls")
    @classmethod
    def _sslip_has_an_address(cls, value: str, info: ValidationInfo) -> str:
        if value != Tls.SSLIP or info.data.get("public_address", "?"):
            return value
        # A rented machine has its address when it is there.
        if info.data.get("target") in CLOUDS:
            return value
        raise wrong(
            "needs the address that its name is made of",
            f"pulumi config set {NAMESPACE}:public_address <this host's public IP address>",
        )

    @field_validator("http_port")
    @classmethod
    def _redirect_has_a_destination(cls, value: int, info: ValidationInfo) -> int:
        if not value or info.data.get("tls") != Tls.OFF:
            return value
        raise wrong(
            "has no HTTPS to send people to: tls is off",
            f"pulumi config rm {NAMESPACE}:http_port, or set {NAMESPACE}:tls",
        )

    @field_validator("proxy_protocol")
    @classmethod
    def _proxies_are_named(cls, value: bool, info: ValidationInfo) -> bool:
        if not value or info.data.get("trust_proxy", "?"):
            return value
        raise wrong(
            "is on, and trust_proxy names nobody whose header is believed",
            f"pulumi config set {NAMESPACE}:trust_proxy <your proxy's address>",
        )

    @field_validator("http_port", "metrics_port")
    @classmethod
    def _ports_differ(cls, value: int, info: ValidationInfo) -> int:
        others = [info.data.get(name) for name in ("port", "http_port")]
        if not value or value not in others:
            return value
        raise wrong("is used by another setting already", "give each port one use")

    @field_validator("prebuilt_image")
    @classmethod
    def _prebuilt_is_named(cls, value: str, info: ValidationInfo) -> str:
        if value or info.data.get("image_source") is not ImageSource.PREBUILT:
            return value
        raise wrong(
            "is empty, and image_source is prebuilt",
            "name the image by its digest, or build it here: "
            f"pulumi config set {NAMESPACE}:image_source build",
        )

    @field_validator("opencode_integrity")
    @classmethod
    def _version_is_pinned(cls, value: str, info: ValidationInfo) -> str:
        version = info.data.get("opencode_version")
        if version is None or bool(version) == bool(value):
            return value
        if version:
            raise wrong(
                f"is empty, so that nothing says what opencode {version} is",
                f"occ update --to {version} looks it up, and writes both",
            )
        raise wrong(
            "belongs to an opencode_version, and there is none",
            f"pulumi config rm {NAMESPACE}:opencode_integrity",
        )

    @field_validator("restart_policy")
    @classmethod
    def _one_supervisor_alone(cls, value: str, info: ValidationInfo) -> str:
        if not info.data.get("service_unit") or value in (UNLESS_STOPPED, NO_RESTART):
            return value
        raise wrong(
            "has Docker start the container again, and service_unit is true: two would do it",
            f"pulumi config rm {NAMESPACE}:restart_policy; restart_retries and restart_delay are "
            "the unit's own",
        )

    @field_validator("delete_data_on_destroy")
    @classmethod
    def _deletion_names_the_stack(cls, value: str, info: ValidationInfo) -> str:
        stack = (info.context or {}).get("stack", value)
        if value in ("", stack):
            return value
        raise wrong(
            f"is not the name of this stack, which is {stack}",
            "give the stack's name to have its data deleted, or nothing to keep it",
        )

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach ``bind_address``."""
        return not _is_loopback(self.bind_address)

    @property
    def bind_mounts(self) -> tuple[BindMount, ...]:
        """Folders of the host in the container."""
        return parse_mounts(self.mounts)

    @property
    def has_tls(self) -> bool:
        """Whether the deployment itself speaks HTTPS."""
        return self.tls != Tls.OFF

    @property
    def has_public_certificate(self) -> bool:
        """Whether a certificate is got that everybody trusts."""
        return self.tls not in (Tls.OFF, Tls.INTERNAL)

    @property
    def certificate_name(self) -> str:
        """The public name of that certificate; empty when there is none, or it is not known."""
        if not self.has_public_certificate:
            return ""
        if self.tls != Tls.SSLIP:
            return self.tls
        if not self.public_address:
            return ""
        # sslip.io answers with the address in the name, with dashes for dots and colons.
        return re.sub(r"[.:]", "-", self.public_address) + ".sslip.io"

    @property
    def redirect_port(self) -> int:
        """Port on the host that sends HTTP on to HTTPS; 0 for none."""
        if not self.has_tls:
            return 0
        wanted = self.has_public_certificate or self.target.is_cloud
        return self.http_port or (80 if wanted else 0)

    @property
    def url(self) -> str:
        """Where the deployment answers: by its public name, or else seen from its own host."""
        if self.certificate_name:
            port = "" if self.port == _HTTPS_PORT else f":{self.port}"
            return f"https://{self.certificate_name}{port}"
        cloud_address = self.public_address if self.target.is_cloud else ""
        address = ipaddress.ip_address(cloud_address or self.bind_address)
        ipv6 = isinstance(address, ipaddress.IPv6Address)
        host = f"[{address}]" if ipv6 else str(address)
        if address.is_unspecified:
            host = "[::1]" if ipv6 else "127.0.0.1"
        return f"{'https' if self.has_tls else 'http'}://{host}:{self.port}"

    def at(self, address: str) -> "Settings":
        """Give the settings of a rented machine whose address is known by now."""
        return self.model_copy(update={"public_address": self.public_address or address})


SECRETS = frozenset(
    name for name, field in Settings.model_fields.items() if field.annotation is SecretStr
)
"""Settings whose values are nobody's to see, and stand encrypted in a stack's file."""


@dataclass(frozen=True)
class Problem:
    """One setting that cannot be used: which, as given, why, and what to do."""

    key: str
    value: str | None
    """``None``: it may be nobody's to see."""
    why: str
    fix: str
    namespace: str = NAMESPACE

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {self.value!r}"
        return f"{self.namespace}:{self.key}{value} {self.why}\n    fix: {self.fix}"


class SettingsError(OpencodeCloudError):
    """Every problem of one stack's settings, in the model's order."""

    def __init__(self, stack: str, problems: list[Problem]) -> None:
        self.problems = problems
        count = "1 setting" if len(problems) == 1 else f"{len(problems)} settings"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{count} of stack {stack!r} cannot be used:\n{lines}")


def own(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Pick this project's keys from a stack's whole configuration, without their namespace."""
    prefix = f"{NAMESPACE}:"
    return {
        key.removeprefix(prefix): value
        for key, value in configuration.items()
        if key.startswith(prefix)
    }


def load(raw: Mapping[str, Any], stack: str) -> Settings:
    """Make the settings of ``stack`` from its configuration, keys without namespace.

    Raises:
        SettingsError: with every problem at once.
    """
    try:
        return Settings.model_validate(dict(raw), context={"stack": stack})
    except ValidationError as error:
        problems = [_problem(details) for details in error.errors()]
        raise SettingsError(stack, problems) from None


def unencrypted(configuration: Mapping[str, Any], encrypted: Collection[str]) -> list[Problem]:
    """Find what stands readable in a stack's file and must not.

    Args:
        configuration: all keys of the stack, with their namespaces.
        encrypted: those whose values are encrypted in its file.
    """
    return [
        Problem(
            name,
            None,
            "is not encrypted in the stack's file, where whoever reads the file reads it",
            f"pulumi config set --secret {NAMESPACE}:{name}, with a new value if anybody else "
            "could read this one",
        )
        for name in sorted(SECRETS)
        if configuration.get(key := f"{NAMESPACE}:{name}") and key not in encrypted
    ]


def default(name: str, target: str = Target.LOCAL) -> Any:
    """Give what a setting is on a ``target`` when nobody set it."""
    if target in CLOUDS and name in CLOUD_DEFAULTS:
        return CLOUD_DEFAULTS[name]
    standard = Settings.model_fields[name].default
    return standard.get_secret_value() if isinstance(standard, SecretStr) else standard


def as_config(value: Any) -> str:
    """Write a setting's value as ``pulumi config set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(details: ErrorDetails) -> Problem:
    key = str(details["loc"][0])
    if details["type"] == "extra_forbidden":
        return Problem(key, str(details["input"]), "is not a setting", _unknown_key_fix(key))
    context = details.get("ctx", {})
    value = None if key in SECRETS else str(details["input"])
    default = as_config(Settings.model_fields[key].default)
    why = context.get("why") or details["msg"].replace("Input should", "should")
    fix = context.get("fix") or f"pulumi config set {NAMESPACE}:{key} {default} (the default)"
    return Problem(key, value, why, fix)


def _unknown_key_fix(key: str) -> str:
    remove = f"pulumi config rm {NAMESPACE}:{key}"
    close = difflib.get_close_matches(key, Settings.model_fields, n=1)
    if not close:
        return f"{remove}; docs/settings.md lists what there is"
    return f"did you mean {close[0]}? If so: {remove}, and set that"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
