"""``./bench/run``: what is fast, what is not, against what else there is."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import docker
import requests

from bench import fleet, gateway, operator
from bench.timing import in_turn, seconds, show
from opencode_cloud.configuration import load
from opencode_cloud.spec.compose import compose_yaml
from opencode_cloud.spec.container import CAPABILITIES, container_spec
from opencode_cloud.spec.image import BuiltImage, image_spec
from opencode_cloud.start.steps.base_image import pinned_base
from tests.engine.deployment import free_port
from tests.engine.machine import build_settings, pulumi_environment
from tests.engine.stack import Stack, copy_program

ROOT = Path(__file__).parent.parent
MEBIBYTE = 1024 * 1024


def run(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a command that must succeed; returns its output."""
    words = [str(argument) for argument in arguments]
    result = subprocess.run(words, check=False, capture_output=True, text=True, cwd=cwd, env=env)
    if result.returncode:
        sys.exit(f"{' '.join(words)}\n{result.stdout}{result.stderr}")
    return result.stdout


def wait_for(url: str) -> None:
    """Ask until the answer is 200: each try has a limit, for early requests are never answered."""
    while True:
        try:
            if requests.get(url, timeout=2).status_code == requests.codes.ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.02)


def compose_plugin() -> Path:
    """Docker Compose, built from its module where it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "opencode-cloud"
    plugin = cache / "bench" / "docker-compose"
    if not plugin.exists():
        print("building docker compose, the rival (two minutes, once)", flush=True)
        plugin.parent.mkdir(parents=True, exist_ok=True)
        package = "github.com/docker/compose/v2/cmd"
        run("go", "build", "-trimpath", "-o", plugin, package, cwd=ROOT / "bench" / "compose")
    return plugin


@dataclass(frozen=True)
class Workbench:
    """A deployment to measure, and the rivals of it."""

    folder: Path
    stack: Stack
    settings: dict[str, str]
    env: Mapping[str, str]
    compose: Path
    client: docker.DockerClient
    verbose: bool

    @property
    def image(self) -> str:
        """The image of the deployment."""
        return self.stack.outputs()["imageDigest"]

    def composed(self, name: str) -> list[str | Path]:
        """The compose command for a container equal to the deployment's."""
        file = self.folder / f"{name}.yaml"
        settings = load(self.settings | {"port": str(free_port())}, name)
        file.write_text(compose_yaml(container_spec(settings, name), self.image))
        return [self.compose, "--file", file]


def up(bench: Workbench) -> None:
    """``up`` with nothing to change."""
    empty = bench.folder / "empty"
    shutil.copytree(ROOT / "bench" / "empty", empty)
    nothing = Stack(bench.stack.name, empty, bench.env)
    nothing.pulumi("stack", "init", nothing.name)
    compose = bench.composed(f"{bench.stack.name}-compose")
    run(*compose, "up", "--detach", "--wait")
    ours, program, rival = in_turn(
        bench.stack.up, nothing.up, lambda: run(*compose, "up", "--detach", "--wait")
    )
    run(*compose, "down", "--volumes")
    print("up with nothing to change")
    show("an empty Pulumi program", program)
    show("pulumi up, against the empty program", ours, program)
    show("docker compose up --wait, against it too", rival, program)


def healthy(bench: Workbench) -> None:
    """From nothing to a healthy answer."""
    name = f"{bench.stack.name}-plain"
    port = free_port()

    def start(*options: str, port_inside: int, health: str, command: tuple[str, ...] = ()) -> None:
        publish = f"127.0.0.1:{port}:{port_inside}"
        run("docker", "run", "-d", "--name", name, "-p", publish, *options, bench.image, *command)
        wait_for(f"http://127.0.0.1:{port}{health}")

    def then_removed(action: Callable[[], None]) -> float:
        took = seconds(action)
        run("docker", "rm", "--force", "--volumes", name)
        return took

    plain = partial(
        start,
        "--entrypoint",
        "opencode",
        "--user",
        "opencode",
        "--workdir",
        "/workspace",
        port_inside=4096,
        health="/global/health",
        command=("serve", "--hostname", "0.0.0.0", "--port", "4096"),
    )
    added = [word for capability in CAPABILITIES for word in ("--cap-add", capability)]
    ours = partial(
        start,
        "--cap-drop",
        "ALL",
        *added,
        "--security-opt",
        "no-new-privileges",
        port_inside=8080,
        health="/health",
    )
    compose = bench.composed(f"{bench.stack.name}-waited")

    def composed() -> float:
        took = seconds(lambda: run(*compose, "up", "--detach", "--wait"))
        run(*compose, "down", "--volumes")
        return took

    def deployed() -> float:
        bench.stack.destroy()
        return seconds(bench.stack.up)

    measures = (lambda: then_removed(plain), lambda: then_removed(ours), composed, deployed)
    rounds = [[measure() for measure in measures] for _ in range(6)][1:]
    alone, gated, waited, pulumi = (list(column) for column in zip(*rounds, strict=True))
    print("from no container to a healthy answer")
    show("docker run of opencode alone", alone)
    show("docker run of our image, through the gateway", gated, alone)
    show("docker compose up --wait of our container", waited, alone)
    show("pulumi up of the whole stack", pulumi, alone)


def image(bench: Workbench) -> None:
    """How large, and how long it takes to build."""
    size = bench.client.images.get(bench.image).attrs["Size"] / MEBIBYTE
    spec = image_spec(load(bench.settings, "bench"), "bench", bench.stack.project)
    assert isinstance(spec, BuiltImage)
    build = partial(
        bench.client.images.build,
        path=str(spec.project / spec.context),
        buildargs=spec.build_args,
        rm=True,
        forcerm=True,
    )
    tag = f"opencode-cloud:{bench.stack.name}"
    cold = [seconds(lambda: build(nocache=True, tag=tag))]
    warm = [seconds(lambda: build(tag=tag))]
    bench.client.images.remove(tag)
    print("image")
    print(f"  {'size':<44} {size:7.0f} MiB")
    show("build without any cache", cold)
    show("build again", warm, cold)


def start(bench: Workbench) -> None:
    """``./start`` where Docker and Go's modules are there and all else is made, and again."""
    home = bench.folder / "home"
    checkout = bench.folder / "checkout"
    run("git", "clone", "--quiet", ROOT, checkout)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "GOCACHE": str(home / "go"),
        "PATH": os.pathsep.join(
            folder
            for folder in os.environ["PATH"].split(os.pathsep)
            if "opencode-cloud" not in folder and ".venv" not in folder
        ),
    }
    name = f"{bench.stack.name}-start"
    command = partial(
        run, "./start", "--stack", name, "--port", str(free_port()), cwd=checkout, env=environment
    )
    first, again = [seconds(command)], [seconds(command)]
    print("./start")
    show("everything compiled and built", first)
    show("again", again, first)
    exports = run("./start", "--stack", name, "--print-env", cwd=checkout, env=environment)
    remove = (
        f"pulumi config set -s {name} opencode:delete_data_on_destroy {name}"
        f" && pulumi up -s {name} -y --skip-preview && pulumi destroy -s {name} -y"
    )
    run("sh", "-c", f"{exports}\n{remove}", cwd=checkout, env=environment)


def behind_the_gateway(bench: Workbench) -> None:
    """What the gateway costs and saves."""
    pinned = pinned_base((ROOT / "docker" / "Dockerfile").read_text())
    base = bench.settings.get("base_image", pinned)
    deployed = bench.client.containers.get(f"opencode-{bench.stack.name}")
    # Containers of one image share its pages, and each would look smaller than it is.
    deployed.stop()
    try:
        gateway.measure(bench.client, bench.image, base, verbose=bench.verbose)
    finally:
        deployed.start()


def occ(bench: Workbench) -> None:
    """What the operator's command line takes."""
    operator.measure(ROOT, bench.stack)


def several_hosts(bench: Workbench) -> None:
    """What several hosts take, against one."""
    # The hosts need what processors there are.
    deployed = bench.client.containers.get(f"opencode-{bench.stack.name}")
    deployed.stop()
    try:
        fleet.measure(ROOT, bench.client, bench.image)
    finally:
        deployed.start()


SECTIONS: dict[str, Callable[[Workbench], None]] = {
    "up": up,
    "healthy": healthy,
    "image": image,
    "start": start,
    "gateway": behind_the_gateway,
    "occ": occ,
    "fleet": several_hosts,
}


def main(arguments: list[str]) -> None:
    """Measure the sections named, or all of them."""
    verbose = "--verbose" in arguments
    names = [argument for argument in arguments if argument != "--verbose"]
    unknown = set(names) - set(SECTIONS)
    if unknown:
        sys.exit(f"bench: no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    compose = compose_plugin()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "project").mkdir()
        environment = pulumi_environment(ROOT, folder)
        settings = build_settings(ROOT, folder)
        stack = Stack(f"bench-{os.getpid()}", copy_program(ROOT, folder / "project"), environment)
        stack.create(settings | {"port": str(free_port())})
        try:
            stack.up()
            client = docker.from_env()
            bench = Workbench(folder, stack, settings, environment, compose, client, verbose)
            for name in names or SECTIONS:
                SECTIONS[name](bench)
        finally:
            stack.remove()


if __name__ == "__main__":
    main(sys.argv[1:])
