"""A stack's configuration: how it becomes settings, and what is wrong with it."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from opencode_cloud.cloud_settings import CLOUD_DEFAULTS, CLOUDS, Target
from opencode_cloud.errors import OpencodeCloudError
from opencode_cloud.setting_error import NAMESPACE
from opencode_cloud.settings import SECRETS, Settings


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
