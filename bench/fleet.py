"""One command on several hosts, against the same on one host, one after the other, and docker."""

import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker

from bench.timing import seconds, show
from tests.machine import fleet as fleets
from tests.machine import host as hosts
from tests.machine.fleet import Fleet
from tests.machine.host import Host

SIZES = (1, 2, 4, 8)
RUNS = 3
SECONDS = 1200
GOAL = 2.5
"""Eight hosts take at most so many times as long as one."""
_EVERY_SECONDS = 0.05
_PLAIN = "plain"
_PORT = 4097


@dataclass
class Peak:
    """The most that there was at one time."""

    ssh: int = 0
    """Processes of ssh that use the connections; each connection has one of its own besides."""
    connections: int = 0
    """TCP connections to the hosts' SSH servers."""
    pulumi: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watched(self, addresses: set[str]) -> Iterator["Peak"]:
        """Look all the while."""
        self._ended.clear()
        thread = threading.Thread(target=self._look, args=(addresses,))
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def _look(self, addresses: set[str]) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            names = _process_names(addresses)
            self.ssh = max(self.ssh, names.count("ssh"))
            self.pulumi = max(self.pulumi, names.count("pulumi"))
            self.connections = max(self.connections, _connections(addresses))


def _process_names(addresses: set[str]) -> list[str]:
    """Name the processes that are about these hosts: ssh to them, and every pulumi of ours."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
            if name == "pulumi" or (
                name == "ssh"
                and addresses.intersection((folder / "cmdline").read_text().split("\0"))
            ):
                found.append(name)
        except OSError:
            # It has ended just now.
            continue
    return found


def _connections(addresses: set[str]) -> int:
    asked = ("ss", "-Htn", "state", "established", "dport", "=", ":22")
    listed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return sum(line.split()[3].removesuffix(":22") in addresses for line in listed.splitlines())


def _processor(there: Host) -> float:
    """CPU seconds that a host has used."""
    number = str(there.container.id)
    for file in (
        Path("/sys/fs/cgroup/cpuacct/docker") / number / "cpuacct.usage",
        Path("/sys/fs/cgroup/system.slice") / f"docker-{number}.scope" / "cpu.stat",
    ):
        if file.exists():
            text = file.read_text().split()
            return int(text[0]) / 1e9 if len(text) == 1 else int(text[1]) / 1e6
    return 0.0


def _own_processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class Round:
    """What one way to change some hosts took."""

    seconds: list[float] = field(default_factory=list)
    here: list[float] = field(default_factory=list)
    """CPU seconds of what the operator ran."""
    there: list[float] = field(default_factory=list)
    """CPU seconds of the hosts."""
    peak: Peak = field(default_factory=Peak)


def measure(root: Path, client: docker.DockerClient, image: str) -> None:
    """Change the same setting on 1, 2, 4 and 8 hosts."""
    names = [f"host{number}" for number in range(max(SIZES))]
    with tempfile.TemporaryDirectory() as temporary, hosts.network(client) as network:
        folder = Path(temporary)
        archive = folder / "image.tar"
        subprocess.run(["docker", "save", "--output", str(archive), image], check=True)
        with fleets.fleet(
            root=root,
            folder=folder,
            client=client,
            network=network,
            archive=archive,
            image=image,
            names=names,
        ) as made:
            _occ(made, "--all", "--parallel", "4", "start")
            _compare(made, names, image)


def _compare(made: Fleet, names: list[str], image: str) -> None:
    ways = {f"occ, {size} at once": Round() for size in SIZES}
    ways |= {"occ, 8 one after the other": Round(), "docker -H ssh://, 8 at once": Round()}
    number = 0
    for _ in range(RUNS):
        for size in SIZES:
            number += 1
            _timed(made, names[:size], number, ways[f"occ, {size} at once"], size)
        number += 1
        _timed(made, names, number, ways["occ, 8 one after the other"], 1)
        ways["docker -H ssh://, 8 at once"].seconds.append(_plain_docker(made, image))
    _print(ways)


def _occ(made: Fleet, *words: str) -> None:
    done = subprocess.run(
        made.occ.command(words),
        env=made.occ.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _timed(made: Fleet, these: list[str], number: int, way: Round, parallel: int) -> None:
    named = ("--host", ",".join(these))
    # Such as a limit on memory would change in place; this makes every container anew.
    _occ(made, *named, "env", "set", f"ROUND={number}")
    # What went before may still be ending, on the hosts.
    time.sleep(2)
    own, theirs = _own_processor(), sum(map(_processor, made.hosts.values()))
    with way.peak.watched({made.hosts[name].address for name in these}):
        way.seconds.append(
            seconds(lambda: _occ(made, *named, "--parallel", str(parallel), "start"))
        )
    print(f"  {len(these)} hosts, {parallel} at once: {way.seconds[-1]:.1f} s", flush=True)
    way.here.append(_own_processor() - own)
    way.there.append(sum(map(_processor, made.hosts.values())) - theirs)


def _plain_docker(made: Fleet, image: str) -> float:
    """Replace a container that has nothing but opencode's image, by the docker command alone."""
    wrapper = made.operator.folder / "plain"
    wrapper.mkdir(exist_ok=True)
    key = made.operator.there.key
    ssh = wrapper / "ssh"
    ssh.write_text(
        f"#!/bin/sh\nexec /usr/bin/ssh -i {key} -o StrictHostKeyChecking=no "
        '-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"\n'
    )
    ssh.chmod(0o755)
    environment = {**os.environ, "PATH": f"{wrapper}:{os.environ['PATH']}"}

    def replace(there: Host) -> None:
        def run(*words: str, check: bool = True) -> str:
            command = ["docker", "-H", f"ssh://{there.user}@{there.address}", *words]
            return subprocess.run(
                command, env=environment, check=check, capture_output=True, text=True
            ).stdout

        run("rm", "--force", "--volumes", _PLAIN, check=False)
        run("run", "--detach", "--name", _PLAIN, "--publish", f"127.0.0.1:{_PORT}:8080", image)
        health = ("inspect", "--format", "{{.State.Health.Status}}", _PLAIN)
        while run(*health).strip() != "healthy":
            time.sleep(0.3)

    def all_of_them() -> None:
        with ThreadPoolExecutor(len(made.hosts)) as pool:
            list(pool.map(replace, made.hosts.values()))

    took = seconds(all_of_them)
    for there in made.hosts.values():
        there.as_root(f"docker rm --force --volumes {_PLAIN}")
    return took


def _print(ways: dict[str, Round]) -> None:
    one = ways["occ, 1 at once"]
    print("fleet: a variable is changed: the containers are made anew, until opencode answers")
    for title, way in ways.items():
        show(title, way.seconds, one.seconds)
        if way.here:
            here, there = map(statistics.median, (way.here, way.there))
            print(
                f"      CPU {here:.1f} s here, {there:.1f} s on the hosts; at most {way.peak.ssh} "
                f"ssh, {way.peak.connections} connections, {way.peak.pulumi} pulumi"
            )
    ratio = statistics.median(
        a / b for a, b in zip(ways["occ, 8 at once"].seconds, one.seconds, strict=True)
    )
    print(f"  goal: 8 hosts within x{GOAL} of one: {'met' if ratio <= GOAL else 'MISSED'}")
    print(f"  load of this machine at the end: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")
