"""What `occ host add` and `occ host edit` do at a host: get to know it, look, install Docker."""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opencode_cloud.cli.asking import agrees
from opencode_cloud.cli.doctor import finding_row
from opencode_cloud.cli.live_line import LiveLine
from opencode_cloud.cli.options import Options
from opencode_cloud.ops.errors import OperationError

if TYPE_CHECKING:
    from opencode_cloud.cli.host_options import Way
    from opencode_cloud.ops.doctor_checks.finding import Finding
    from opencode_cloud.ops.hosts.look import Look
    from opencode_cloud.ops.hosts.registry import Host
    from opencode_cloud.ops.ssh import Ssh

NOTHING = "Nothing was changed."
_WIDEST = 100


@dataclass
class Visit:
    """One visit to a host."""

    options: Options
    again: str
    """The command that was typed, with all but what is about keys."""
    wait: float
    """Seconds to wait for it at most."""
    interrupted: str = NOTHING
    """What to say of an interruption."""

    def known(self, host: "Host", way: "Way") -> "Host":
        """Give the host with the keys that it must have one of.

        Raises:
            OperationError: there is nobody to say whether it is the right one, or it is not.
        """
        from opencode_cloud.ops.hosts.look import patiently
        from opencode_cloud.ops.hosts.meeting import offered_key
        from opencode_cloud.spec.host_key import HostKey

        if way.host_key or (host.address.host_keys and not way.accept_host_key):
            return host
        with self._line(host) as line:
            key = patiently(
                lambda: offered_key(host.address),
                host.address.destination,
                wait=self.wait,
                say=line,
            )
        found = HostKey.of(key)
        if way.accept_host_key:
            self.options.say(f"{host.where} has the host key {found}")
        else:
            self._confirm(host, key, found)
        return host.with_settings({"ssh_host_key": key})

    def look(self, host: "Host", *, install: bool) -> "Look":
        """Look at a host, and have Docker there when that is asked for.

        Raises:
            OperationError: it cannot be reached, is another one, or Docker cannot be installed.
        """
        from opencode_cloud.ops.hosts.look import look_patiently
        from opencode_cloud.ops.hosts.meeting import other_key
        from opencode_cloud.ops.ssh import SshError

        with self._way(host) as ssh, self._line(host) as line:
            try:
                found = look_patiently(ssh, host.port, host.socket, wait=self.wait, say=line)
                if install:
                    line.clear()
                    self._install(ssh, found)
                    found = look_patiently(ssh, host.port, host.socket, wait=self.wait, say=line)
            except SshError as error:
                if error.is_another_key and not host.file.exists():
                    raise OperationError(other_key(host.address)) from None
                raise
        return found

    def show(self, found: "Iterable[Finding]") -> None:
        """Print what was found."""
        if self.options.quiet:
            return
        print_findings(found, self.options)

    def _confirm(self, host: "Host", key: str, found: object) -> None:
        from opencode_cloud.spec.host_key import HostKey

        compare = f"ssh-keygen -lf {HostKey.of(key).file}"
        if not self.options.can_ask:
            raise OperationError(
                f"{host.where} has the host key {found}, and there is nobody to ask whether that "
                f"is the right one. Compare it with what the host itself says ({compare}), and "
                f"say so: {self.again} --host-key '{key}'"
            )
        print(
            f"{host.where} has the host key\n  {found}\nCompare it with what the host itself says, "
            f"at its console or by whoever set it up:\n  {compare}",
            file=sys.stderr,
        )
        if not agrees("Is it the same? [y/N]"):
            raise OperationError(f"{NOTHING} Nothing was sent to that host.")

    def _install(self, ssh: "Ssh", found: "Look") -> None:
        from opencode_cloud.ops.hosts import install

        wanted = install.commands(found)
        if not wanted:
            self.options.say(f"Docker answers on {ssh.name} already: nothing to install.")
            return
        shown = "\n".join(f"  {install.shown(found, command)}" for command in wanted)
        what = f"To have Docker on {ssh.name}, this is run there:\n{shown}"
        if any("usermod" in command for command in wanted):
            what += "\nWhoever is in the group docker can become root there."
        if not self.options.yes and not self.options.can_ask:
            raise OperationError(f"{what}\nThere is nobody to ask. Say so: {self.again} --yes")
        print(what, file=sys.stderr)
        if not self.options.yes and not agrees("Run it? [y/N]"):
            raise OperationError(NOTHING)
        self.interrupted = (
            f"What was begun on {ssh.name} may still be going on there; no settings were written. "
            f"The same command goes on."
        )
        install.carry_out(ssh, found, wanted, lambda line: self.options.say(f"$ {line}"))

    @contextmanager
    def _way(self, host: "Host") -> "Iterator[Ssh]":
        with tempfile.TemporaryDirectory() as folder:
            # Nothing of a host that may yet be refused is kept.
            yield host.ssh(Path(folder))

    def _line(self, host: "Host") -> LiveLine:
        return LiveLine(host.name, self.options)

    @contextmanager
    def left_alone(self) -> Iterator[None]:
        """Say what an interruption left."""
        from opencode_cloud.ops.lock import orderly_end

        try:
            with orderly_end():
                yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self.interrupted) from None


def print_findings(found: "Iterable[Finding]", options: Options) -> None:
    """Print what was found."""
    colored = options.color and sys.stdout.isatty()
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    for each in found:
        print(finding_row(each, width, colored=colored))
