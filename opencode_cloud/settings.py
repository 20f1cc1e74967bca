"""What a deployment can be told: the one settings model.

Everything else that speaks of settings is derived from here (see
``opencode_cloud.derive``): the ``config:`` block of ``Pulumi.yaml``, the JSON
schema of the stack files, and the table in ``docs/settings.md``.
"""

from enum import StrEnum

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from opencode_cloud.cloud_settings import CLOUDS
from opencode_cloud.image_settings import ImageSettings
from opencode_cloud.setting_error import NAMESPACE, wrong
from opencode_cloud.setting_types import (
    LARGEST_ID,
    NO_RESTART,
    UNLESS_STOPPED,
    AgentGroup,
    AgentUser,
    DockerSocket,
    Mounts,
    RestartPolicy,
)
from opencode_cloud.spec.mounts import BindMount, parse_mounts


class BootMode(StrEnum):
    """Whose service manager has the service unit."""

    USER = "user"
    SYSTEM = "system"


class Settings(ImageSettings):
    """One deployment, described once. Frozen; unknown keys are refused.

    A rule over two settings stands on the later of them, as a field's own rule:
    a rule over the whole model would stay silent until every field is right, and
    people want to see all that is wrong at once.
    """

    docker_host: DockerSocket = Field(
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
    mounts: Mounts = Field(
        default="",
        description="Folders of the host in the container, with commas between: "
        "`/host/folder:/container/folder`, with `:ro` behind it for read-only.",
    )
    puid: AgentUser = Field(
        default=0,
        ge=0,
        le=LARGEST_ID,
        description="User id of the agent in the container, and so on the host the owner of what "
        "it makes in `mounts`. 0: the image's own, 1000.",
    )
    pgid: AgentGroup = Field(
        default=0,
        ge=0,
        le=LARGEST_ID,
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
    restart_policy: RestartPolicy = Field(
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

    @field_validator("service_unit")
    @classmethod
    def _clouds_have_their_own_unit(cls, value: bool, info: ValidationInfo) -> bool:
        if not value or info.data.get("target") not in CLOUDS:
            return value
        raise wrong(
            "is true, and a rented machine has a unit of its own that brings the deployment up",
            f"pulumi config rm {NAMESPACE}:service_unit",
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
    def bind_mounts(self) -> tuple[BindMount, ...]:
        """Folders of the host in the container."""
        return parse_mounts(self.mounts)


SECRETS = frozenset(
    name for name, field in Settings.model_fields.items() if field.annotation is SecretStr
)
"""Settings whose values are nobody's to see, and stand encrypted in a stack's file."""
