"""How ``./start`` ends when it cannot go on."""

from opencode_cloud.errors import OpencodeCloudError


class StartError(OpencodeCloudError):
    """A step could not be done; running ``./start`` again goes on from there."""


class UsageError(OpencodeCloudError):
    """An option or its value cannot be used; nothing was changed."""
