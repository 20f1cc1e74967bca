"""Where a deployment is, and what a rented machine is told: the first part of the settings."""

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from opencode_cloud.setting_error import wrong


class Target(StrEnum):
    """Where a deployment's Docker host is; each has a module in ``stacks/``."""

    LOCAL = "local"
    SSH = "ssh"
    AWS = "aws"
    GCP = "gcp"
    AZURE = "azure"
    DIGITALOCEAN = "digitalocean"

    @property
    def is_cloud(self) -> bool:
        """Whether the host is a machine that the stack itself rents."""
        return self not in (Target.LOCAL, Target.SSH)


CLOUDS = tuple(target for target in Target if target.is_cloud)

CLOUD_DEFAULTS: Mapping[str, Any] = {
    "port": 443,
    "bind_address": "0.0.0.0",  # noqa: S104 - whoever rents a machine wants to reach it
    "tls": "sslip",
}
"""Of the settings that have other defaults on a cloud's machine: it is there to be reached, and
speaks nothing but HTTPS."""

_CONFIG_SET = "pulumi config set opencode:"
_OWN_NETWORK = (
    f"{_CONFIG_SET}ssh_from <your own address>/32 (curl -s https://icanhazip.com shows it)"
)
PUBLIC_KEY = re.compile(
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|"
    r"sk-ecdsa-sha2-nistp256@openssh\.com) AAAA[A-Za-z0-9+/]+={0,2}(?: [ -~]*)?"
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|")
USER = re.compile(r"[a-z][a-z0-9_-]{0,31}")
# crypt(5), as docker/accounts takes them: yescrypt, and SHA-512 with its rounds.
HASH = re.compile(
    r"\$y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}"
    r"|\$6\$(?:rounds=[1-9][0-9]{3,8}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
)


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise wrong("is no name that a provider gives", "use letters, digits, '.', '_' and '-'")
    return value


def _public_key(value: str) -> str:
    value = value.strip()
    if value and not PUBLIC_KEY.fullmatch(value):
        raise wrong(
            "is no public key of SSH",
            f'{_CONFIG_SET}ssh_public_key "$(cat ~/.ssh/id_ed25519.pub)"',
        )
    return value


def _networks(value: str) -> str:
    return ",".join(_network(item.strip()) for item in value.split(",") if item.strip())


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise wrong(f"holds {value!r}, which is no network: {error}", _OWN_NETWORK) from None


def _user(value: str) -> str:
    if not USER.fullmatch(value):
        raise wrong(
            "cannot be a user name",
            "use up to 32 lower-case letters, digits, - and _, beginning with a letter",
        )
    return value


def _hash(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text and not HASH.fullmatch(text):
        raise wrong(
            "is no hash of a password (yescrypt or SHA-512-crypt)",
            f'{_CONFIG_SET}first_user_hash --secret "$(openssl passwd -6)" asks for the password',
        )
    return value


class CloudSettings(BaseModel):
    """The settings of where a deployment is."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    target: Target = Field(
        default=Target.LOCAL,
        description="Where the deployment runs: `local` is this machine's Docker engine, `ssh` "
        "that of the host that `ssh_host` names; `aws`, `gcp`, `azure` and `digitalocean` each "
        "rent a machine, where `port` is 443, `bind_address` 0.0.0.0 and `tls` `sslip` unless "
        "they are set.",
    )
    region: Annotated[str, AfterValidator(_word)] = Field(
        default="",
        validate_default=True,
        description="Where the provider has the machine, in its own words: `eu-central-1` (AWS), "
        "`europe-west3-a` (a zone, Google), `germanywestcentral` (Azure), `fra1` (DigitalOcean).",
    )
    size: Annotated[str, AfterValidator(_word)] = Field(
        default="",
        description="Kind of machine, in the provider's own words. Empty: a sensible one.",
    )
    ssh_public_key: Annotated[str, AfterValidator(_public_key)] = Field(
        default="",
        validate_default=True,
        description="Public key that the machine's SSH server lets in, as a line of "
        "`authorized_keys`.",
    )
    ssh_from: Annotated[str, AfterValidator(_networks)] = Field(
        default="",
        validate_default=True,
        description="Networks, with commas between, from which the machine's SSH server can be "
        "reached. 0.0.0.0/0 and ::/0 are everybody.",
    )
    data_disk_gb: int = Field(
        default=20,
        ge=10,
        le=16384,
        description="Size of the disk that holds the data and outlives the machine, in GB.",
    )
    first_user: Annotated[str, AfterValidator(_user)] = Field(
        default="admin",
        description="Name of the user whom a rented machine makes while it has none.",
    )
    first_user_hash: Annotated[SecretStr, AfterValidator(_hash)] = Field(
        default=SecretStr(""),
        description="Hash of that user's password, encrypted in the stack's file: `pulumi config "
        'set --secret opencode:first_user_hash "$(openssl passwd -6)"` asks for the password. '
        "Empty: no user is made.",
    )
    gcp_project: Annotated[str, AfterValidator(_word)] = Field(
        default="",
        validate_default=True,
        description="Google Cloud project that the machine belongs to.",
    )
    azure_subscription: Annotated[str, AfterValidator(_word)] = Field(
        default="",
        validate_default=True,
        description="Azure subscription, by its id, that the machine belongs to.",
    )

    @model_validator(mode="before")
    @classmethod
    def _clouds_have_other_defaults(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or raw.get("target") not in CLOUDS:
            return raw
        return {**CLOUD_DEFAULTS, **raw}

    @field_validator("region", "ssh_public_key", "gcp_project", "azure_subscription")
    @classmethod
    def _clouds_are_told(cls, value: str, info: ValidationInfo) -> str:
        target, name = info.data.get("target"), info.field_name
        if value or target is None or target not in _ASKS_FOR.get(name or "", ()):
            return value
        raise wrong(f"is empty, and target is {target}, which needs it", f"{_CONFIG_SET}{name} ...")

    @field_validator("ssh_from")
    @classmethod
    def _ssh_is_let_in_from_somewhere(cls, value: str, info: ValidationInfo) -> str:
        target = info.data.get("target")
        if value or target not in CLOUDS:
            return value
        raise wrong(
            "is empty, and nobody but you can say from where the machine is administered",
            f"{_OWN_NETWORK}; 0.0.0.0/0,::/0 lets everybody try",
        )

    @field_validator("region", "size", "ssh_public_key", "ssh_from")
    @classmethod
    def _others_rent_nothing(cls, value: str, info: ValidationInfo) -> str:
        target = info.data.get("target")
        if not value or target is None or target in CLOUDS:
            return value
        raise wrong(
            f"is of a rented machine, and target is {target}",
            f"pulumi config rm opencode:{info.field_name}, or set target to one of "
            f"{', '.join(CLOUDS)}",
        )


_ASKS_FOR: Mapping[str, tuple[Target, ...]] = {
    "region": CLOUDS,
    "ssh_public_key": CLOUDS,
    "gcp_project": (Target.GCP,),
    "azure_subscription": (Target.AZURE,),
}
