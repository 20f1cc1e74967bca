"""The hosts that there are settings for, and what was last seen of each."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from opencode_cloud.ops import default_host
from opencode_cloud.ops.docker_host import require_stack_name
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.hosts.look import Look
from opencode_cloud.ops.project import DEFAULT_STACK
from opencode_cloud.ops.ssh import Ssh
from opencode_cloud.spec.ssh import SshAddress
from opencode_cloud.start import stack_file
from opencode_cloud.start.paths import Paths

TARGET = "ssh"


class NoHostError(OperationError):
    """There are no settings of that host."""


@dataclass(frozen=True)
class Host:
    """One host, as its stack's file names it."""

    name: str
    """Of its stack."""
    settings: Mapping[str, str]
    paths: Paths

    @property
    def file(self) -> Path:
        """The stack's settings."""
        return self.paths.stack_file(self.name)

    @property
    def address(self) -> SshAddress:
        """How it is reached."""
        return SshAddress.of(self.settings, self.name)

    @property
    def where(self) -> str:
        """How it is reached, for people."""
        address = self.address
        port = f":{address.port}" if address.port else ""
        return f"{address.destination}{port}{f' by {address.jump}' if address.jump else ''}"

    @property
    def groups(self) -> list[str]:
        """Groups that it belongs to."""
        return stack_file.groups(self.settings)

    @property
    def socket(self) -> str:
        """The Docker engine's socket there; empty where the settings do not say."""
        return self.settings.get("docker_host", "").removeprefix("unix://")

    @property
    def port(self) -> int:
        """The port that its deployment answers at."""
        return _number(self.settings, "port")

    @property
    def memory(self) -> int:
        """Bytes that its container may take."""
        return _number(self.settings, "memory_mb") * 2**20

    def ssh(self, data: Path | None = None) -> Ssh:
        """Give the way there; `data`: a folder for its pinned keys other than the usual one."""
        return Ssh.of(self.address, data or self.paths.data)

    def with_settings(self, more: Mapping[str, str]) -> "Host":
        """Give it with other settings; empty values leave it to the defaults."""
        merged = {**self.settings, **more}
        return replace(self, settings={name: value for name, value in merged.items() if value})

    def last_look(self) -> Look | None:
        """Give what was last seen of it."""
        return Look.kept(self._look)

    def keep(self, look: Look) -> None:
        """Note what was seen of it."""
        look.keep(self._look)

    @property
    def _look(self) -> Path:
        return self.paths.cache / "hosts" / f"{self.name}.txt"

    def forget(self) -> None:
        """Remove what is kept of it on this machine besides its settings and state."""
        default_host.forget(self.name)
        self._look.unlink(missing_ok=True)
        (self.paths.data / "ssh" / f"{self.name}.known_hosts").unlink(missing_ok=True)


def _number(settings: Mapping[str, str], name: str) -> int:
    from opencode_cloud.settings import Settings

    value = settings.get(name, "")
    return int(value) if value.isdecimal() else Settings.model_fields[name].default


def new_host(root: Path, name: str) -> Host:
    """Give a host that is to be.

    Raises:
        OperationError: there is one of that name, or it cannot be a name.
    """
    require_stack_name(name)
    made = Host(name, {}, Paths.of(root, os.environ))
    if name == DEFAULT_STACK:
        raise OperationError(
            "'local' is this machine's own deployment: give the host another name."
        )
    if made.file.exists():
        raise OperationError(
            f"There is a stack {name!r} already, in {made.file}. To change how it is reached: occ "
            f"host edit {name}. For another host, take another name."
        )
    return made


def hosts(root: Path) -> list[Host]:
    """Give every host, by name."""
    paths = Paths.of(root, os.environ)
    files = stack_file.all_of(root).items()
    found = (Host(name, stack_file.read(file), paths) for name, file in files)
    return [each for each in found if each.settings.get("target") == TARGET]


def require_stack(root: Path, name: str) -> None:
    """See that there is a stack of that name, on a host or on this machine.

    Raises:
        OperationError: there is none.
    """
    require_stack_name(name)
    if name != DEFAULT_STACK and not Paths.of(root, os.environ).stack_file(name).is_file():
        host_of(root, name)


def host_of(root: Path, name: str) -> Host:
    """Give one host.

    Raises:
        NoHostError: there is none of that name; says which one may be meant.
    """
    known = hosts(root)
    for each in known:
        if each.name == name:
            return each
    names = [each.name for each in known]
    if close := difflib.get_close_matches(name, names, n=1):
        hint = f"Did you mean {close[0]}?"
    else:
        there = f"There is {', '.join(names)}. " if names else "There is none yet. "
        hint = f"{there}To add one: occ host add {name} [USER@]HOSTNAME"
    raise NoHostError(f"There is no host {name!r}. {hint}")
