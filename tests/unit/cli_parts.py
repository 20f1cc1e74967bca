"""Stand-ins for what `occ` talks to."""

from typing import Any

from opencode_cloud.cli import main
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.docker_engine import Engine

IMAGE = "sha256:" + "ab" * 32
DROPPED: dict[str, Any] = {
    "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4096"}]},
    "CapDrop": ["ALL"],
    "CapAdd": ["CAP_KILL", "CAP_CHOWN"],
    "SecurityOpt": ["no-new-privileges"],
    "Privileged": False,
    "Memory": 2048 * 1024 * 1024,
    "MemorySwap": 2048 * 1024 * 1024,
    "NanoCpus": 0,
    "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
    "Sysctls": {"net.unix.max_dgram_qlen": "512"},
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
}


def container(
    *,
    state: dict[str, Any] | None = None,
    environment: tuple[str, ...] = (),
    host: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the engine says of a container that runs."""
    running = {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2026-01-31T10:00:00.123456789Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    return {
        "Id": "c0ffee",
        "Name": "/opencode-local",
        "Image": IMAGE,
        "RestartCount": 0,
        "State": running | (state or {}),
        "Config": {
            "Image": IMAGE,
            "Env": ["PATH=/bin", *environment],
            "Labels": {
                "org.opencode-cloud.stack": "local",
                "org.opencode-cloud.version": "0.1.0",
                "org.opencode-cloud.opencode-version": "1.18.33",
                "org.opencontainers.image.base.name": "debian:trixie-slim",
            },
        },
        "HostConfig": DROPPED | (host or {}),
        "Mounts": [
            {
                "Type": "volume",
                "Name": "opencode-local-workspace",
                "Source": "/var/lib/docker/volumes/x",
                "Destination": "/workspace",
                "RW": True,
            }
        ],
    }


STOPPED: dict[str, Any] = {
    "Status": "exited",
    "Running": False,
    "ExitCode": 1,
    "FinishedAt": "2026-01-31T11:00:00.5Z",
}


class FakeEngine(Engine):
    """Answers what it was told to; remembers what was asked of it."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__("/nowhere")
        object.__setattr__(self, "answers", answers)
        object.__setattr__(self, "asked", [])

    answers: dict[str, Any]
    asked: list[str]

    def get(self, path: str, **_: Any) -> Any:
        return self._answer(f"GET {path}", path)

    def post(self, path: str, *_: Any, **__: Any) -> Any:
        return self._answer(f"POST {path}", path)

    def _answer(self, asked: str, path: str) -> Any:
        self.asked.append(asked)
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


def deployment(facts: dict[str, Any] | None = None, **answers: Any) -> Deployment:
    """One on an engine that knows it alone."""
    return Deployment("local", FakeEngine(answers), facts or container())


def occ(*words: str) -> int:
    """Run a command line in this process."""
    return main.run(words)
