"""The Pulumi program: read the stack's settings, and build its target."""

import importlib
from pathlib import Path

import pulumi
from pulumi.runtime.config import (
    CONFIG,
    get_config_env,
    get_config_secret_keys_env,
    is_config_secret,
)

from opencode_cloud.configuration import SettingsError, load, own, unencrypted
from opencode_cloud.environment import SECRET, environment, problems, secret_value
from stacks.deployment import Deployment

stack = pulumi.get_stack()
# Pulumi's Config answers for one key at a time; to refuse a key that is not a
# setting, all of them have to be seen.
configuration = {**get_config_env(), **CONFIG.get()}

encrypted = {key for key in configuration if is_config_secret(key)}
encrypted.update(get_config_secret_keys_env())

if found := problems(configuration, encrypted) + unencrypted(configuration, encrypted):
    raise pulumi.RunError(str(SettingsError(stack, found)))
try:
    settings = load(own(configuration), stack)
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None

variables = environment(configuration)
secrets = {
    name: pulumi.Output.secret(secret_value(configuration[f"{SECRET}:{name}"]))
    for name in variables.secrets
}

# Imported by name, so that a stack loads the SDKs of its own target alone.
try:
    module = importlib.import_module(f"stacks.{settings.target}")
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("pulumi_"):
        raise
    raise pulumi.RunError(
        f"target is {settings.target}, and its SDK, {error.name}, is not installed. In a checkout: "
        f".venv/bin/python -m pip install --require-hashes -r requirements-{settings.target}.txt. "
        f"Where occ is installed: pipx install --force 'opencode-cloud[{settings.target}]'"
    ) from None
module.deploy(
    Deployment(
        settings=settings,
        stack=stack,
        project=Path(__file__).parent,
        environment=variables,
        secrets=secrets,
    )
)
