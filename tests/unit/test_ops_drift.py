import copy
from typing import Any

import pytest

from opencode_cloud.configuration import load
from opencode_cloud.ops import boot
from opencode_cloud.ops.deployment import Deployment
from opencode_cloud.ops.drift import Difference, drift, image_drift
from opencode_cloud.spec.container import ContainerSpec, container_spec
from opencode_cloud.spec.image import PulledImage
from opencode_cloud.spec.volumes import MOUNT_PATHS
from tests.unit.cli_parts import deployment

MEBIBYTE = 1024 * 1024
SECOND = 1_000_000_000
FOLDER = {"Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": True}


def spec(**settings: str) -> ContainerSpec:
    return container_spec(load({"image_source": "build"} | settings, "local"), "local")


def made_of(wanted: ContainerSpec) -> dict[str, Any]:
    """What `docker inspect` says of a container that was made of a specification."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in wanted.ports:
        where = {"HostIp": port.address, "HostPort": str(port.host)}
        bindings.setdefault(f"{port.container}/tcp", []).append(where)
    health = wanted.health
    return {
        "State": {"Running": True},
        "Config": {
            "Env": ["PATH=/bin", *(f"{k}={v}" for k, v in wanted.environment.items())],
            "Labels": wanted.labels | {"of the": "image"},
            "Hostname": wanted.hostname,
            "StopTimeout": wanted.stop_seconds,
            "Healthcheck": {
                "Test": ["CMD", *health.command],
                "Interval": health.interval * SECOND,
                "Timeout": health.timeout * SECOND,
                "StartPeriod": health.start_period * SECOND,
                "Retries": health.retries,
            },
        },
        "HostConfig": {
            "PortBindings": bindings,
            "Memory": wanted.memory_mb * MEBIBYTE,
            "MemorySwap": wanted.memory_mb * MEBIBYTE,
            "NanoCpus": wanted.cpus * SECOND,
            "RestartPolicy": {"Name": wanted.restart, "MaximumRetryCount": wanted.most_restarts},
            "CapAdd": [f"CAP_{name}" for name in wanted.capabilities],
            "CapDrop": ["ALL"],
            "SecurityOpt": list(wanted.security_options),
            "Privileged": False,
            "Sysctls": wanted.sysctls,
            "LogConfig": {"Type": "json-file", "Config": wanted.log_options},
        },
        "Mounts": [
            {"Type": "volume", "Name": name, "Destination": MOUNT_PATHS[volume], "RW": True}
            for volume, name in wanted.volumes.items()
        ],
    }


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cpus": "2", "memory_mb": "4096"},
        {"tls": "opencode.example.org", "port": "443", "metrics_port": "9000"},
        {"restart_policy": "on-failure:5"},
    ],
)
def test_what_was_made_of_the_settings_does_not_differ(settings: dict[str, str]):
    assert drift(spec(**settings), made_of(spec(**settings))) == []


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"port": "5000"}, ["port"]),
        ({"memory_mb": "4096"}, ["memory", "swap"]),
        ({"cpus": "1"}, ["cpus"]),
        ({"restart_policy": "on-failure:3"}, ["restart policy"]),
        ({"hostnames": "a.example.org"}, ["hostnames"]),
        ({"rate_limit_attempts": "9"}, ["rate_limit_attempts"]),
        ({"tls": "internal"}, ["port", "port", "tls"]),
    ],
)
def test_a_setting_that_is_not_applied_is_named(settings: dict[str, str], names: list[str]):
    assert [each.name for each in drift(spec(**settings), made_of(spec()))] == names


def test_a_port_is_shown_as_it_is_and_as_it_would_be():
    assert drift(spec(port="5000"), made_of(spec())) == [
        Difference(
            name="port", settings="127.0.0.1:5000 to 8080", container="127.0.0.1:4096 to 8080"
        )
    ]


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    facts = copy.deepcopy(made_of(spec()))
    place = facts
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return facts


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        (("HostConfig", "Privileged"), True, "privileged"),
        (("HostConfig", "CapDrop"), None, "dropped capabilities"),
        (("HostConfig", "CapAdd"), ["CAP_SYS_ADMIN"], "capabilities"),
        (("HostConfig", "SecurityOpt"), [], "security options"),
        (("HostConfig", "NanoCpus"), SECOND // 2, "cpus"),
        (("HostConfig", "Sysctls"), None, "sysctls"),
        (("HostConfig", "LogConfig"), {"Config": {}}, "logging"),
        (("Config", "Hostname"), "other", "host name"),
        (("Config", "Healthcheck"), None, "health check"),
        (("Config", "StopTimeout"), None, "time to stop"),
        (("Mounts",), [*made_of(spec())["Mounts"], FOLDER], "volume or mount"),
    ],
)
def test_what_was_changed_behind_pulumis_back_is_named(
    path: tuple[str, ...], value: Any, name: str
):
    assert [each.name for each in drift(spec(), changed(path, value))] == [name]


def test_values_of_variables_are_never_shown():
    facts = made_of(spec())
    facts["Config"]["Env"] += ["OPENCODE_CLOUD_ENV_TOKEN=hush", "OPENCODE_CLOUD_HOSTNAMES=hush"]
    found = drift(spec(hostnames="a.example.org"), facts)
    assert [each.name for each in found] == ["variable TOKEN", "hostnames"]
    assert "hush" not in str(found)


def test_another_image_differs_by_its_name():
    wanted = PulledImage(reference="x@sha256:" + "0" * 64)
    assert list(image_drift(wanted, {"RepoTags": None, "RepoDigests": [wanted.reference]})) == []
    found = list(image_drift(wanted, {"RepoTags": ["y:1"], "RepoDigests": []}))
    assert [each.container for each in found] == ["y:1"]


def stopped_or_not(policy: str, *, running: bool) -> Deployment:
    facts = {"HostConfig": {"RestartPolicy": {"Name": policy}}, "State": {"Running": running}}
    return deployment(facts)


@pytest.mark.parametrize(
    ("policy", "running", "enabled", "why"),
    [
        ("unless-stopped", True, None, ""),
        ("always", False, True, ""),
        ("unless-stopped", True, True, ""),
        ("unless-stopped", False, True, "it was stopped by hand"),
        ("always", True, False, "Docker itself is not started: sudo systemctl enable docker"),
        ("no", True, True, "its restart policy is no"),
        ("on-failure", True, None, "its restart policy is on-failure"),
    ],
)
def test_what_brings_it_back_at_boot(policy: str, running: bool, enabled: bool | None, why: str):
    found = boot.boot(stopped_or_not(policy, running=running), docker_enabled=enabled)
    assert (found.starts_at_boot, boot.why_not(found)) == (not why, why)


def test_where_no_systemd_runs_nobody_says_whether_docker_is_enabled(tmp_path):
    assert boot.docker_is_enabled("/var/run/docker.sock", running=tmp_path / "none") is None
    assert boot.docker_is_enabled("/elsewhere.sock", running=tmp_path) is None
