"""Step: a Docker engine that answers."""

import getpass
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from opencode_cloud.start import docker_socket, packages, stack_file
from opencode_cloud.start.errors import StartError
from opencode_cloud.start.machine import which
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.process import NOT_FOUND, Answer, CommandError

DEFAULT_HOST = "unix:///var/run/docker.sock"
READY_SECONDS = 60

PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}
"""Where the engine's parts write their process numbers."""

_PACKAGES = ("docker.io", "iptables")
# Some releases keep the command in a package of its own, which docker.io only
# recommends; others have it in docker.io, and no such package.
_COMMAND_PACKAGE = "docker-cli"


@dataclass
class DockerEngine:
    """The engine that the docker command speaks to, else the distribution's."""

    context: Context
    title = "Docker engine"
    _probed: Answer | None = None

    def is_done(self) -> str:
        """Ask the engine for its version."""
        self._find_host()
        return f"version {self._version().out}" if self._version().ok else ""

    def obstacle(self) -> str:
        """Tell apart: another machine's engine, one that is not ours to start, no right."""
        host = self._find_host()
        if not host.startswith("unix://"):
            return (
                f"The docker command speaks to {host}. ./start sets opencode up on this machine, "
                "with a local engine: unset DOCKER_HOST, or run `docker context use default`, "
                "then run ./start again."
            )
        return "" if self._version().ok else self._cannot_bring(host)

    def plan(self) -> list[str]:
        """Give the commands."""
        lines = []
        if not self._is_installed():
            lines += packages.install_plan(self.context.machine, *self._missing_packages())
        if not self._socket_answers():
            lines.append(self.context.machine.shown(self._start_commands()[0]))
        return lines

    def run(self, report: Report) -> Outcome:
        """Install what is missing, start the engine, and wait for it."""
        context = self.context
        done = []
        if not self._is_installed():
            missing = self._missing_packages()
            packages.install(context.runner, report.progress, *missing)
            if not self._has_command():
                packages.install(context.runner, report.progress, _COMMAND_PACKAGE)
                missing = (*missing, _COMMAND_PACKAGE)
            done.append(f"installed packages {' '.join(missing)}")
            context.note_change(done[-1])
        if not self._socket_answers():
            report.progress("starting")
            self._start(report)
        self._wait(report)
        return Outcome("; ".join([*done, f"version {self._version().out}"]))

    def _cannot_bring(self, host: str) -> str:
        """Say why an engine that does not answer cannot be installed or started."""
        machine = self.context.machine
        if "permission denied" in self._version().err.lower():
            return self._not_in_group()
        if host != DEFAULT_HOST:
            return f"The engine at {host} does not answer. Start it, then run ./start again."
        if self._is_installed():
            return "" if machine.root or machine.sudo else self._not_started()
        if machine.may_install:
            return ""
        return f"There is no Docker engine here. {packages.docker_by_hand(machine)}"

    def _find_host(self) -> str:
        """Say which engine is meant: the stack's own, else the docker command's."""
        context = self.context
        if context.docker_host:
            return context.docker_host
        chosen = stack_file.read(context.paths.stack_file(context.options.stack))
        asked = context.runner.ask(
            "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"
        )
        context.docker_host = (
            chosen.get("docker_host")
            or context.environment.get("DOCKER_HOST")
            or asked.out
            or DEFAULT_HOST
        )
        # For every docker command from here on.
        context.environment["DOCKER_HOST"] = context.docker_host
        return context.docker_host

    def _version(self) -> Answer:
        if self._probed is None:
            self._probed = self.context.runner.ask(
                "docker", "version", "--format", "{{.Server.Version}}"
            )
        return self._probed

    def _has_command(self) -> bool:
        return which("docker", self.context.environment) is not None

    def _is_installed(self) -> bool:
        return self._has_command() and (
            which("dockerd", self.context.environment) is not None or self._socket_answers()
        )

    def _missing_packages(self) -> tuple[str, ...]:
        # An engine that answers without a command, as in a container that has the
        # host's socket, must not get a second engine beside it.
        if self._socket_answers() and packages.exists(self.context.runner, _COMMAND_PACKAGE):
            return (_COMMAND_PACKAGE,)
        return _PACKAGES

    def _socket_answers(self) -> bool:
        path = self._find_host().removeprefix("unix://")
        return Path(path).exists() and docker_socket.answers(path)

    def _start_commands(self) -> list[tuple[str, ...]]:
        """Give the ways to start the engine, the next for where the one before fails."""
        if self.context.machine.systemd:
            return [("systemctl", "enable", "--now", "docker")]
        commands: list[tuple[str, ...]] = [("dockerd",)]
        if Path("/etc/init.d/docker").exists():
            commands.insert(0, ("service", "docker", "start"))
        return commands

    def _start(self, report: Report) -> None:
        for command in self._start_commands():
            try:
                self._start_by(command)
            except CommandError as error:
                # Its script sets limits that a container may not set.
                report.note(f"{' '.join(command)}: {(error.lines or [str(error)])[-1]}")
                continue
            self.context.note_change(f"started the Docker engine: {' '.join(command)}")
            return
        raise StartError("The Docker engine could not be started, as said above.")

    def _start_by(self, command: tuple[str, ...]) -> None:
        if command != ("dockerd",):
            self.context.runner.run_as_root(*command, limit=120)
            return
        # Killed, an engine leaves these behind. Once the numbers are other processes',
        # the next one believes that it runs already.
        stale = [str(file) for file, program in PID_FILES.items() if is_stale(file, program)]
        if stale:
            self.context.runner.run_as_root("rm", "-f", *stale, limit=20)
        self.context.paths.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        as_root = command if self.context.machine.root else ("sudo", "-n", *command)
        with self._log.open("ab") as log:
            # Outlives ./start, which is the point of it.
            subprocess.Popen(
                as_root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.context.environment,
            )

    @property
    def _log(self) -> Path:
        return self.context.paths.data / "dockerd.log"

    def _wait(self, report: Report) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            self._probed = None
            if self._version().ok:
                return
            if "permission denied" in self._version().err.lower():
                raise StartError(self._not_in_group())
            if self._version().code == NOT_FOUND or time.monotonic() > deadline:
                break
            report.progress("waiting for it to answer")
            time.sleep(0.5)
        last = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        raise CommandError(
            f"The Docker engine does not answer after {READY_SECONDS} s "
            f"({self._version().err}). Its log: {self._where_its_log_is()}",
            last[-15:],
        )

    def _where_its_log_is(self) -> str:
        return "journalctl -u docker" if self.context.machine.systemd else str(self._log)

    def _not_started(self) -> str:
        return (
            "The Docker engine is installed but does not run. Ask an administrator to run:\n"
            f"    {' '.join(self._start_commands()[0])}\n"
            "then run ./start again."
        )

    def _not_in_group(self) -> str:
        user = getpass.getuser()
        return (
            f"The Docker engine runs, but the user {user} may not use it. Who may is who is in the "
            "group docker, which is as powerful as root. Run:\n"
            f"    sudo usermod -aG docker {user}\n"
            "then log in again (or run `newgrp docker`), and run ./start again."
        )


def is_stale(pid_file: Path, program: str, processes: Path = Path("/proc")) -> bool:
    """Whether the file names a process that is no longer ``program``."""
    if not pid_file.exists():
        return False
    name = processes / pid_file.read_text().strip() / "comm"
    return not (name.is_file() and name.read_text().strip() == program)
