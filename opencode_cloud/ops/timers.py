"""Having systemd run something by the clock: for this user, or for the machine as root."""

import getpass
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.ops.errors import OperationError
from opencode_cloud.spec.units import BackupUnits

RUNNING = Path("/run/systemd/system")
_SECONDS = 60


@dataclass(frozen=True)
class Timers:
    """Where the units are, and how systemd is asked."""

    folder: Path
    is_system: bool

    @classmethod
    def here(cls, environment: Mapping[str, str], running: Path = RUNNING) -> "Timers":
        """Find them for whoever calls.

        Raises:
            OperationError: systemd does not run here.
        """
        if not running.is_dir():
            raise OperationError(
                "Schedules are made with systemd, and this machine does not run it. Have whatever "
                "runs commands by the clock here (cron, launchd) run `occ backup create`."
            )
        if os.geteuid() == 0:
            return cls(Path("/etc/systemd/system"), is_system=True)
        given = Path(environment.get("XDG_CONFIG_HOME", ""))
        config = given if given.is_absolute() else Path.home() / ".config"
        return cls(config / "systemd" / "user", is_system=False)

    def install(self, units: BackupUnits) -> None:
        """Write both units, and have the timer run from now on.

        Raises:
            OperationError: systemd refused.
        """
        # Before anything is written that could not be enabled then.
        self._require_answer()
        self.folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in ((".service", units.service), (".timer", units.timer)):
            file = self.folder / f"{units.name}{suffix}"
            unfinished = file.with_name(f".{file.name}.new")
            unfinished.write_text(text)
            unfinished.chmod(0o644)
            unfinished.replace(file)
        self._run("daemon-reload")
        self._run("enable", "--quiet", f"{units.name}.timer")
        # Started anew, it goes by the new time.
        self._run("restart", f"{units.name}.timer")

    def remove(self, name: str) -> bool:
        """Stop a timer and remove its units; gives whether there was one."""
        files = [self.folder / f"{name}{suffix}" for suffix in (".timer", ".service")]
        there = [file for file in files if file.exists()]
        if not there:
            return False
        self._run("disable", "--quiet", "--now", f"{name}.timer")
        for file in there:
            file.unlink()
        self._run("daemon-reload")
        return True

    def show(self, name: str) -> dict[str, str]:
        """Say what there is; empty when there is no such timer."""
        file = self.folder / f"{name}.timer"
        if not file.exists():
            return {}
        service = (self.folder / f"{name}.service").read_text()
        found = {
            "timer": str(file),
            "when": _value(file.read_text(), "OnCalendar"),
            "command": _value(service, "ExecStart"),
        }
        asked = {
            "next": (f"{name}.timer", "NextElapseUSecRealtime"),
            "last": (f"{name}.timer", "LastTriggerUSec"),
            "result": (f"{name}.service", "Result"),
        }
        for key, (unit, what) in asked.items():
            found[key] = self._run("show", unit, f"--property={what}", "--value").strip()
        return found

    def ends_with_sign_out(self) -> bool:
        """Whether systemd runs this user's timers only while the user is signed in."""
        if self.is_system:
            return False
        command = ("loginctl", "show-user", str(os.geteuid()), "--property=Linger", "--value")
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except FileNotFoundError:
            return True
        return done.stdout.strip() != "yes"

    def logs_command(self, name: str) -> str:
        """Write the command that shows what the runs have printed."""
        return f"journalctl {'' if self.is_system else '--user '}-u {name}.service"

    def _require_answer(self) -> None:
        try:
            self._run("show", "--property=Version")
        except OperationError as error:
            if self.is_system:
                raise
            raise OperationError(
                f"{error}\nYour own systemd does not run. Sign in to this machine as yourself "
                "(sudo and su do not start it), or have it run always: sudo loginctl "
                f"enable-linger {getpass.getuser()}. As root, the timer is the machine's."
            ) from None

    def _run(self, *words: str) -> str:
        command = ("systemctl", *(() if self.is_system else ("--user",)), *words)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        if done.returncode:
            raise OperationError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        return done.stdout


def _value(text: str, key: str) -> str:
    lines = [
        line.removeprefix(f"{key}=") for line in text.splitlines() if line.startswith(f"{key}=")
    ]
    return lines[0] if lines else ""
