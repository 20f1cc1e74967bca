"""Step: the Docker engine of another machine, which has to answer already."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from opencode_cloud.start.errors import StartError
from opencode_cloud.start.plan import Context, Outcome, Report
from opencode_cloud.start.process import NOT_FOUND, Answer

if TYPE_CHECKING:
    from opencode_cloud.ops.docker_host import DockerHost


@dataclass
class HostDocker:
    """Asks it by its own docker command; nothing is installed or started there unasked."""

    context: Context
    host: "DockerHost"
    title = "Docker engine"
    _probed: Answer | None = None

    def is_done(self) -> str:
        """Ask the engine for its version, and open the way to it."""
        if not self._version().ok:
            return ""
        self.context.docker_host = f"unix://{self.host.local_socket()}"
        return f"version {self._version().out} of {self.host.name}"

    def obstacle(self) -> str:
        """Tell apart: no Docker, one that does not run, no right; with what mends it there."""
        answer = self._version()
        if answer.ok:
            return ""
        name = self.host.name
        if "permission denied" in answer.err.lower():
            return (
                f"The Docker engine of {name} runs, but the user you are there may not use it. Who "
                "may is who is in the group docker, which is as powerful as root. There, run:\n"
                "    sudo usermod -aG docker $USER\n"
                "then run ./start again."
            )
        if answer.code == NOT_FOUND:
            return (
                f"There is no docker command on {name}. On Debian and Ubuntu, run there:\n"
                "    sudo apt-get install -y docker.io iptables\n"
                "then run ./start again."
            )
        return (
            f"The Docker engine of {name} does not answer ({answer.err}). There, run:\n"
            "    sudo systemctl enable --now docker\n"
            "then run ./start again."
        )

    def plan(self) -> list[str]:
        """Nothing is done there."""
        return []

    def run(self, report: Report) -> Outcome:
        """Say what is in the way, where it came up since it was looked for."""
        report.progress("asking it")
        raise StartError(self.obstacle() or f"The Docker engine of {self.host.name} has gone.")

    def _version(self) -> Answer:
        if self._probed is None:
            asked = self.host.docker("version", "--format", "{{.Server.Version}}")
            self._probed = self.context.runner.ask(*asked)
        return self._probed
