"""The Pulumi program: read the stack's settings, and build its target."""

import importlib
from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from opencode_cloud.settings import SettingsError, load, own

stack = pulumi.get_stack()
# Pulumi's Config answers for one key at a time; to refuse a key that is not a
# setting, all of them have to be seen.
configuration = {**get_config_env(), **CONFIG.get()}

try:
    settings = load(own(configuration), stack)
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None

# Imported by name, so that a stack loads the SDKs of its own target alone.
importlib.import_module(f"stacks.{settings.target}").deploy(settings, stack, Path(__file__).parent)
