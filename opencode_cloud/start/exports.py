"""The environment in which plain ``pulumi`` works on the stacks."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from opencode_cloud.start.engine import Engine
from opencode_cloud.start.machine import without
from opencode_cloud.start.paths import Paths

PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


@dataclass(frozen=True)
class PulumiEnvironment:
    """What Pulumi is told by way of variables."""

    paths: Paths
    engine: Engine
    environment: Mapping[str, str]
    """That of whoever called ``./start``; what it says of Pulumi is kept."""

    @property
    def variables(self) -> dict[str, str]:
        """Every variable but PATH."""
        found = {
            # The Python language host takes the packages of the active environment.
            "VIRTUAL_ENV": str(self.paths.venv),
            "PULUMI_BACKEND_URL": backend_url(self.paths, self.environment),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        if uses_own_passphrase(self.paths, self.environment):
            found["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(self.paths.passphrase)
        if self.engine.home:
            found["PULUMI_HOME"] = str(self.engine.home)
        if self.engine.offline:
            found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
            # They also lie beside the engine, which Pulumi would warn about.
            found["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
        return found

    @property
    def path_folders(self) -> list[str]:
        """What goes in front of PATH."""
        folders = (self.paths.venv / "bin", self.engine.bin)
        return [str(folder) for folder in folders if folder]

    def for_commands(self) -> dict[str, str]:
        """Give the whole environment of a command that ``./start`` runs."""
        ours = tuple(folder for folder in (self.paths.venv / "bin", self.engine.bin) if folder)
        rest = without(self.environment.get("PATH", os.defpath), ours)
        path = os.pathsep.join([*self.path_folders, rest])
        return {**self.environment, **self.variables, "PATH": path}

    def as_shell(self) -> str:
        """Write the exports for ``eval`` in sh, bash or zsh."""
        folders = shlex.quote(os.pathsep.join(self.path_folders))
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.variables.items()]
        return "\n".join([*lines, f'export PATH={folders}:"$PATH"', ""])


def backend_url(paths: Paths, environment: Mapping[str, str]) -> str:
    """Give where the state is kept: what the environment says, else a folder of our own."""
    return environment.get("PULUMI_BACKEND_URL") or f"file://{paths.state}"


def uses_own_backend(paths: Paths, environment: Mapping[str, str]) -> bool:
    """Whether the state is in our own folder."""
    return backend_url(paths, environment) == f"file://{paths.state}"


def uses_own_passphrase(paths: Paths, environment: Mapping[str, str]) -> bool:
    """Whether the passphrase is our generated one."""
    given = {name: environment[name] for name in PASSPHRASE_VARIABLES if name in environment}
    return not given or given == {"PULUMI_CONFIG_PASSPHRASE_FILE": str(paths.passphrase)}
