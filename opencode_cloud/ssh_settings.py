"""Which host a deployment is on, and how ssh gets there: a part of the settings."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from opencode_cloud.cloud_settings import CloudSettings, Target
from opencode_cloud.setting_error import NAMESPACE, wrong
from opencode_cloud.setting_types import each

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


class SshSettings(CloudSettings):
    """The settings of where a deployment is, hosts of one's own included."""

    ssh_host: Annotated[str, AfterValidator(_ssh_host)] = Field(
        default="",
        validate_default=True,
        description="Host to reach by ssh, as `[USER@]HOST`: a name, an address, or a `Host` of "
        "`~/.ssh/config`. `occ host add` writes it.",
    )
    ssh_host_key: Annotated[str, each(_ssh_host_key)] = Field(
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
    ssh_jump: Annotated[str, each(_ssh_jump)] = Field(
        default="",
        description="Hosts to go through, as `[USER@]HOST[:PORT]`, with commas between. Empty: as "
        "`~/.ssh/config` says.",
    )
    groups: Annotated[str, each(_group)] = Field(
        default="",
        description="Groups that the deployment belongs to, with commas between: `occ --group "
        "NAME` works on all of one.",
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
