"""A deployment as the Docker engine knows it."""

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opencode_cloud.ops import default_host
from opencode_cloud.ops.docker_engine import Engine, Trace
from opencode_cloud.ops.docker_host import DockerHost, docker_host_of, rents
from opencode_cloud.ops.errors import EngineError, NoDeploymentError, OperationError
from opencode_cloud.ops.project import folder, setup_command

LABEL = "org.opencode-cloud.stack"
"""As `opencode_cloud.spec.container.stack_label` writes it; importing that costs 0.1 s."""
_PUBLIC_NAME_LABEL = "org.opencode-cloud.public-name"
"""As `opencode_cloud.spec.container.PUBLIC_NAME_LABEL`, likewise."""

_HTTP, _HTTPS = "8080/tcp", "8443/tcp"
_HTTPS_PORT = "443"
_NOT_FOUND = 404


@dataclass(frozen=True)
class Deployment:
    """One container of opencode, and what the engine said of it."""

    stack: str
    engine: Engine
    facts: dict[str, Any]
    """As `docker inspect` shows them."""

    @property
    def host(self) -> DockerHost:
        """The machine that it runs on, as its settings name it."""
        return docker_host_of(self.stack, folder())

    @property
    def container(self) -> str:
        """The container's id."""
        return self.facts["Id"]

    @property
    def is_running(self) -> bool:
        """Whether its processes run, and are not paused."""
        state = self.facts["State"]
        return state["Running"] and not state["Paused"] and not state["Restarting"]

    @property
    def environment(self) -> dict[str, str]:
        """What the container was told; nothing secret."""
        pairs = (entry.partition("=") for entry in self.facts["Config"]["Env"] or [])
        return {name: value for name, _, value in pairs}

    @property
    def labels(self) -> dict[str, str]:
        """The container's labels, the image's among them."""
        return self.facts["Config"]["Labels"] or {}

    @property
    def tls(self) -> str:
        """As the setting: off, internal, sslip, alb or a domain."""
        if _PUBLIC_NAME_LABEL in self.labels:
            return "alb"
        return self.environment.get("OPENCODE_CLOUD_TLS") or "off"

    @property
    def restart_policy(self) -> str:
        """Docker's word for when it starts the container again, such as `unless-stopped`."""
        return self.facts["HostConfig"]["RestartPolicy"]["Name"] or "no"

    @property
    def published(self) -> tuple[str, str]:
        """Address and port of the host at which it answers; empty when it is published nowhere."""
        bindings = self.facts["HostConfig"]["PortBindings"] or {}
        for binding in bindings.get(_HTTP if self.tls == "off" else _HTTPS) or []:
            return binding["HostIp"], binding["HostPort"]
        return "", ""

    @property
    def url(self) -> str:
        """Where it answers: by its public name, or else seen from its own host; else empty."""
        address, port = self.published
        if not port:
            return ""
        if name := self.public_name:
            is_usual = port == _HTTPS_PORT or self.tls == "alb"
            return f"https://{name}" + ("" if is_usual else f":{port}")
        host = reached_at(address)
        if self.public_address and rents(self.stack, folder()):
            # Nobody sits at a rented machine.
            host = self.public_address
        host = f"[{host}]" if ":" in host else host
        return f"{'http' if self.tls == 'off' else 'https'}://{host}:{port}"

    @property
    def public_address(self) -> str:
        """Address by which the world reaches it, as its settings say; may be empty."""
        return self.environment.get("OPENCODE_CLOUD_PUBLIC_ADDRESS", "")

    @property
    def public_name(self) -> str:
        """Name that its public certificate is for; empty where it has none."""
        if name := self.labels.get(_PUBLIC_NAME_LABEL):
            return name
        if self.tls in ("off", "internal"):
            return ""
        if self.tls != "sslip":
            return self.tls
        return re.sub(r"[.:]", "-", self.public_address) + ".sslip.io"

    def again(self) -> "Deployment":
        """Look at the container anew."""
        return replace(self, facts=self.engine.get(f"/containers/{self.container}/json"))

    def require_running(self) -> None:
        """Refuse what needs the container's processes.

        Raises:
            OperationError: they do not run.
        """
        if not self.is_running:
            raise OperationError(
                f"The deployment {self.stack!r} does not run (it is "
                f"{self.facts['State']['Status']}). Start it: {occ(self.stack, 'start')}"
            )


def is_loopback(address: str) -> bool:
    """Whether an address is its machine's alone."""
    return address.startswith("127.") or address == "::1"


def reached_at(address: str) -> str:
    """Give where its own host reaches what listens on an address, all addresses included."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - it is asked for, not listened on


def occ(stack: str, *words: str) -> str:
    """Write a command of ours, as it is typed for this stack."""
    host = () if default_host.is_implied(stack) else ("--host", stack)
    return " ".join(("occ", *host, *words))


def engine_of(stack: str, root: Path, trace: Trace | None = None) -> Engine:
    """Give the Docker engine that the stack's settings name, in the program's folder `root`.

    Raises:
        OperationError: the name cannot be a stack's, or the engine cannot be reached from here.
    """
    return docker_host_of(stack, root).engine(trace)


def find(stack: str, engine: Engine) -> Deployment:
    """Find the container of `stack`.

    Raises:
        NoDeploymentError: there is none.
        EngineError: the engine cannot be asked.
    """
    name = f"opencode-{stack}"
    try:
        facts = engine.get(f"/containers/{name}/json")
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        raise _missing(stack, engine) from None
    if (facts["Config"]["Labels"] or {}).get(LABEL) != stack:
        raise NoDeploymentError(
            f"The container {name} is not a deployment of ours: it has no label {LABEL}={stack}. "
            f"Rename it (docker rename {name} OTHER), then: {setup_command(stack)}"
        )
    return Deployment(stack, engine, facts)


def stacks(engine: Engine) -> list[str]:
    """Give the names of all deployments on an engine, stopped ones too."""
    found = engine.get("/containers/json", all=1, filters=f'{{"label":["{LABEL}"]}}')
    return sorted({container["Labels"][LABEL] for container in found})


def _missing(stack: str, engine: Engine) -> NoDeploymentError:
    known = stacks(engine)
    host = docker_host_of(stack, folder())
    where = host.name if host.is_remote else "this Docker host"
    text = f"There is no deployment {stack!r} on {where}."
    if close := difflib.get_close_matches(stack, known, n=1):
        text += f" Did you mean --host {close[0]}?"
    elif known:
        text += f" There is {', '.join(known)}: choose by --host NAME."
    return NoDeploymentError(f"{text} To make it: {setup_command(stack)}")
