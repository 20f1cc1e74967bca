"""The data that outlives the container, and where it is in it."""

from enum import StrEnum


class Volume(StrEnum):
    """Data that outlives the container, by what it holds."""

    DATA = "data"
    STATE = "state"
    CACHE = "cache"
    CONFIG = "config"
    WORKSPACE = "workspace"
    USERS = "users"
    CERTIFICATES = "certificates"


MOUNT_PATHS = {
    Volume.DATA: "/home/opencode/.local/share/opencode",
    Volume.STATE: "/home/opencode/.local/state",
    Volume.CACHE: "/home/opencode/.cache",
    Volume.CONFIG: "/home/opencode/.config/opencode",
    Volume.WORKSPACE: "/workspace",
    Volume.USERS: "/var/lib/opencode-cloud/users",
    Volume.CERTIFICATES: "/var/lib/opencode-cloud/certificates",
}
"""Where each volume is mounted in the container."""
