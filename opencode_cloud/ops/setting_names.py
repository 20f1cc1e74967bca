"""What people call settings, and how they write their values."""

import difflib

from pydantic import TypeAdapter, ValidationError

from opencode_cloud.configuration import as_config
from opencode_cloud.environment import ENV, SECRET
from opencode_cloud.ops.stack_document import KEY, StackConfigError
from opencode_cloud.settings import Settings

_USERS = "users are made by `occ user add NAME`, and kept by the deployment itself"
_VARIABLES = "a variable for opencode is set by `occ env set NAME=VALUE`"
_SECRETS = "a secret for opencode is set by `occ secret set NAME`"
_MOVED = {
    **dict.fromkeys((ENV, "environment"), _VARIABLES),
    **dict.fromkeys((SECRET, "secrets"), _SECRETS),
    "auth_username": _USERS,
    "auth_password": _USERS,
    "users": _USERS,
    "allow_unauthenticated_network": "nothing but /health answers without a login, on any "
    "network; allow_network_exposure allows a bind_address that others can reach",
}
"""Settings that there were in older programs, and what does their work now."""

_ALIASES = {"bind": "bind_address", "mount": "mounts", "opencode_web_port": "port"}
"""Other names that people know settings by."""


def setting_name(given: str) -> str:
    """Give the setting that ``given`` means; dashes and the namespace are optional.

    Raises:
        StackConfigError: there is none of that name; says which one may be meant.
    """
    name = bare_name(given)
    name = _ALIASES.get(name, name)
    if name in Settings.model_fields:
        return name
    word = name.partition(":")[0]
    if word in _MOVED:
        raise StackConfigError(f"{name} is not a setting: {_MOVED[word]}.")
    raise StackConfigError(f"{given!r} is not a setting. {_what_there_is(name)}")


def bare_name(given: str) -> str:
    """Write a key as the settings model would: without namespace, with underscores."""
    match = KEY.fullmatch(given)
    return (match[1] if match else given).strip().lower().replace("-", "_")


def _what_there_is(name: str) -> str:
    known = list(Settings.model_fields)
    words = set(name.split("_"))
    close = difflib.get_close_matches(name, known, n=1) or [
        key for key in known if words & set(key.split("_"))
    ]
    if close:
        return f"Did you mean {' or '.join(close[:3])}?"
    return "`occ config show` lists what there is."


def normalised(name: str, value: str) -> str:
    """Write a boolean or a number in the one way that Pulumi knows; others as they are."""
    return as_config(typed(name, value))


def typed(name: str, value: str) -> str | int | bool:
    """Read a value as the type of the setting; what cannot be read is for the model to refuse."""
    field = Settings.model_fields.get(name)
    if not field or field.annotation not in (bool, int):
        return value
    try:
        return TypeAdapter(field.annotation).validate_python(value)
    except ValidationError:
        return value


def default(name: str) -> str | None:
    """Write a setting's default; ``None`` for what is not a setting."""
    field = Settings.model_fields.get(name)
    return as_config(field.default) if field else None
