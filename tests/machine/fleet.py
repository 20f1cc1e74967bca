"""Several hosts, a stack for each, and one operator of them all."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.networks import Network

from tests.engine.ssh_server import make_key
from tests.engine.stack import Stack
from tests.machine.conftest import KEPT, RemoteOperator, remote_operator
from tests.machine.host import Host, host

_AT_ONCE = 2
"""Hosts that boot at the same time, on a machine with two processors."""


@dataclass(frozen=True)
class Fleet:
    """What the operator has."""

    operator: RemoteOperator
    hosts: Mapping[str, Host]
    """By the name of the stack."""

    @property
    def names(self) -> str:
        """All of them, as `--host` takes them."""
        return ",".join(self.hosts)

    @property
    def occ(self) -> Any:
        """The operator's command, for no stack in particular."""
        return self.operator.occ

    def add(self, name: str, settings: Mapping[str, str]) -> None:
        """Make a stack, and deploy nothing."""
        known = self.operator.deployment.stack
        Stack(name, known.project, known.env).create(settings)

    def json(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run a command with --json; gives its exit code, and what came of each stack."""
        done = self.occ.attempt(*words, "--json")
        return done.returncode, json.loads(done.stdout)

    def connections(self) -> dict[str, int]:
        """Count the SSH connections that each host has from here."""
        return {name: there.connections() for name, there in self.hosts.items()}


def settings(name: str, there: Host) -> dict[str, str]:
    """What a stack's settings are on a host that has the image."""
    return there.settings | {
        "image_source": "build",
        "kept_image": f"opencode-cloud:{name}-{KEPT}",
    }


@contextmanager
def fleet(
    *,
    root: Path,
    folder: Path,
    client: docker.DockerClient,
    network: Network,
    archive: Path,
    image: str,
    names: Sequence[str],
) -> Iterator[Fleet]:
    """Boot a host for each name, which has the image; nothing is deployed yet."""
    make_key(folder / "id")
    with ExitStack() as booted:

        def boot(number: int, name: str) -> Host:
            there = booted.enter_context(
                host(client, network, folder, number=number + 2, archive=archive)
            )
            there.load()
            there.as_root(f"docker tag {image} opencode-cloud:{name}-{KEPT}")
            return there

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            hosts = dict(zip(names, pool.map(boot, range(len(names)), names), strict=True))
        first = next(iter(hosts.values()))
        operator = remote_operator(root, folder, first, client)
        made = Fleet(operator, hosts)
        for name, there in hosts.items():
            made.add(name, settings(name, there))
        yield made
        _disconnect(made)


def _disconnect(made: Fleet) -> None:
    """End the connections that commands share, which would outlive the hosts."""
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
        "from opencode_cloud.ops.docker_host import docker_host_of; "
        "[docker_host_of(name, Path(sys.argv[1])).ssh.disconnect() for name in sys.argv[2:]]"
    )
    checkout = made.operator.checkout
    subprocess.run(
        [str(checkout / ".venv/bin/python"), "-c", script, str(checkout), *made.hosts],
        env={**os.environ, **made.operator.environment},
        check=True,
    )
