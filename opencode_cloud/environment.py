"""What opencode is given besides its settings: variables of its environment.

In a stack's configuration ``env:NAME`` is a plain one, and ``secret:NAME`` one whose value
is encrypted there. Both end up in the environment of opencode's own process.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from opencode_cloud.configuration import Problem

ENV, SECRET = "env", "secret"
"""Prefixes of their keys in a stack's configuration."""

MOST_BYTES = 32 * 1024
"""Of one value. Linux gives no program a variable of more than 128 KiB."""
MOST_BYTES_TOGETHER = 64 * 1024
"""Of all: Pulumi hands a program its whole configuration in one variable."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_OWN_PREFIX = "OPENCODE_CLOUD_"
_AGENT = "says who the agent is, which the image decides"
_VOLUMES = "would have opencode keep its data where no volume is, and so lose it"
_GATEWAY = "is between the gateway and opencode alone"
_RESERVED = {
    **dict.fromkeys(("HOME", "LOGNAME", "OLDPWD", "PWD", "SHELL", "USER"), _AGENT),
    **dict.fromkeys(("OPENCODE_DB", "OPENCODE_TEST_HOME"), _VOLUMES),
    **dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME"), _VOLUMES),
    **dict.fromkeys(("XDG_DATA_HOME", "XDG_STATE_HOME"), _VOLUMES),
    **dict.fromkeys(("OPENCODE_SERVER_PASSWORD", "OPENCODE_SERVER_USERNAME"), _GATEWAY),
    "BASH_ENV": "keeps opencode's own password out of the agent's shells",
}

# What programs call what should be secret: OPENAI_API_KEY, AWS_ACCESS_KEY_ID, PGPASSWORD, ...
_SECRET_LIKE = re.compile(
    r".*(?:API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)"
    r"(?:_?(?:ID|[0-9]+))?|.*_(?:KEY|PAT|PWD)",
    re.IGNORECASE,
)
# How `occ secret set` writes a secret, as the program gets it.
_SET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", re.ASCII)


@dataclass(frozen=True)
class Environment:
    """What opencode's process gets."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """Nothing secret: ``docker inspect`` shows them."""
    secrets: tuple[str, ...] = ()
    """Names only. Their values are in no object that could print them."""


NO_ENVIRONMENT = Environment()
"""Nothing besides what the image gives."""


def looks_secret(name: str) -> bool:
    """Whether a variable of that name most likely holds a key or a password."""
    return _SECRET_LIKE.fullmatch(name) is not None


def environment(configuration: Mapping[str, str]) -> Environment:
    """Give what a stack's whole configuration says of opencode's environment."""
    return Environment(
        variables=dict(sorted(_of(configuration, ENV))),
        secrets=tuple(sorted(name for name, _ in _of(configuration, SECRET))),
    )


def secret_value(configured: str) -> str:
    """Take a secret's value out of what the configuration has: itself, or with when it was set."""
    try:
        found = json.loads(configured)
    except (ValueError, RecursionError):
        return configured
    # A secret may be a JSON object of its own: one of these two keys alone is `occ`'s.
    if not isinstance(found, dict) or found.keys() != {"set", "value"}:
        return configured
    value, moment = found["value"], found["set"]
    is_ours = isinstance(value, str) and isinstance(moment, str) and _SET.fullmatch(moment)
    return value if is_ours else configured


def problems(configuration: Mapping[str, str], encrypted: Collection[str]) -> list[Problem]:
    """Say what is wrong with the environment of a stack; no value is in what is said.

    Args:
        configuration: all keys of the stack, with their namespaces.
        encrypted: those whose values are encrypted in its file.
    """
    found = [*_plain_problems(configuration, encrypted)]
    names = {name for name, _ in _of(configuration, ENV)}
    for name, configured in _of(configuration, SECRET):
        if name in names:
            fix = f"keep one: occ env remove {name}, or occ secret remove {name}"
            found.append(Problem(name, None, "stands in env: as well", fix, SECRET))
        value = secret_value(configured)
        if f"{SECRET}:{name}" not in encrypted:
            found.append(_not_encrypted(name))
        elif not value:
            found.append(Problem(name, None, "is empty", f"occ secret set {name}", SECRET))
        found.extend(_problems(SECRET, name, value))
    return found


def _plain_problems(
    configuration: Mapping[str, str], encrypted: Collection[str]
) -> Iterator[Problem]:
    for name, value in _of(configuration, ENV):
        if f"{ENV}:{name}" in encrypted:
            fix = f"pulumi config rm {ENV}:{name}, then: occ secret set {name}"
            why = "is encrypted, and what is in env: is shown by docker inspect"
            yield Problem(name, None, why, fix, ENV)
        yield from _problems(ENV, name, value)


def _not_encrypted(name: str) -> Problem:
    why = "is not encrypted in the stack's file, where whoever reads the file reads it"
    fix = f"occ secret set {name}, with a new value if anybody else could read this one"
    return Problem(name, None, why, fix, SECRET)


def _problems(namespace: str, name: str, value: str) -> Iterator[Problem]:
    if why := refusal(name):
        yield Problem(name, None, why, f"pulumi config rm {namespace}:{name}", namespace)
    if why := value_refusal(value):
        yield Problem(name, None, why, f"occ {namespace} set {name}", namespace)


def refusal(name: str) -> str:
    """Say why a variable cannot have that name; empty when it can."""
    if not _NAME.fullmatch(name):
        return "is no name of a variable: letters, digits and _ make one, with no digit first"
    if name.startswith(_OWN_PREFIX):
        return f"is the deployment's own: all {_OWN_PREFIX}* are"
    return _RESERVED.get(name, "")


def value_refusal(value: str) -> str:
    """Say why no variable can have that value; empty when it can."""
    if "\0" in value:
        return "holds a NUL character, which no variable can"
    if len(value.encode(errors="surrogatepass")) > MOST_BYTES:
        return f"is longer than {MOST_BYTES // 1024} KiB: have opencode read a file instead"
    return ""


def _of(configuration: Mapping[str, str], namespace: str) -> Iterator[tuple[str, str]]:
    prefix = f"{namespace}:"
    for key, value in configuration.items():
        if key.startswith(prefix):
            yield key.removeprefix(prefix), value
