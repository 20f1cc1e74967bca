import json
from pathlib import Path

import pytest
import yaml

from opencode_cloud import __version__
from opencode_cloud.configuration import load
from opencode_cloud.environment import Environment
from opencode_cloud.spec.compose import compose_yaml
from opencode_cloud.spec.container import Health, PublishedPort, container_spec
from opencode_cloud.spec.image import BuiltImage, KeptImage, PulledImage, image_spec
from opencode_cloud.spec.volumes import MOUNT_PATHS, Volume

BUILD = {"image_source": "build"}
PINNED = "ghcr.io/example/opencode-cloud@sha256:" + "a" * 64


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def built(project: Path, **settings: str) -> BuiltImage:
    spec = image_spec(load(BUILD | settings, "local"), "local", project)
    assert isinstance(spec, BuiltImage)
    return spec


def test_a_container_listens_on_loopback_with_the_least_rights():
    spec = container_spec(load(BUILD, "local"), "local")
    assert spec.ports == (PublishedPort(address="127.0.0.1", host=4096, container=8080),)
    assert "no-new-privileges" in spec.security_options
    assert "SYS_ADMIN" not in spec.capabilities
    assert spec.memory_mb == 2048


def test_under_tls_the_url_leads_to_https_and_another_port_sends_people_there():
    settings = BUILD | {"tls": "opencode.example.org", "port": "443", "metrics_port": "9100"}
    spec = container_spec(load(settings, "local"), "local")
    assert spec.ports == (
        PublishedPort(address="127.0.0.1", host=443, container=8443),
        PublishedPort(address="127.0.0.1", host=80, container=8080),
        PublishedPort(address="127.0.0.1", host=9100, container=8081),
    )


def test_metrics_stay_on_loopback_wherever_the_rest_listens():
    settings = BUILD | {
        "bind_address": "0.0.0.0",
        "allow_network_exposure": "true",
        "metrics_port": "9100",
    }
    metrics = container_spec(load(settings, "local"), "local").ports[-1]
    assert (metrics.address, metrics.container) == ("127.0.0.1", 8081)


def test_every_kind_of_data_has_a_volume_and_a_place():
    spec = container_spec(load(BUILD, "local"), "local")
    assert set(spec.volumes) == set(MOUNT_PATHS) == set(Volume)


def test_two_stacks_share_no_name_on_a_host():
    one = container_spec(load(BUILD, "one"), "one")
    two = container_spec(load(BUILD, "two"), "two")
    assert not {one.name, *one.volumes.values()} & {two.name, *two.volumes.values()}


def test_a_prebuilt_image_is_pulled_by_its_digest(project: Path):
    spec = image_spec(load({"prebuilt_image": PINNED}, "local"), "local", project)
    assert spec == PulledImage(reference=PINNED)
    assert spec.provenance == {"source": "prebuilt", "reference": PINNED}


def test_a_change_in_the_build_context_is_another_image(project: Path):
    before = built(project).reference
    assert built(project).reference == before
    (project / "docker/Dockerfile").write_text("FROM debian\n")
    assert built(project).reference != before


def test_a_file_that_becomes_executable_is_another_image(project: Path):
    before = built(project).reference
    (project / "docker/Dockerfile").chmod(0o755)
    assert built(project).reference != before


def test_the_base_and_the_extra_authorities_reach_the_build(project: Path):
    authorities = project / "ca.pem"
    authorities.write_text("-----BEGIN CERTIFICATE-----\n")
    spec = built(project, base_image="debian:13", extra_ca_file=str(authorities))
    assert spec.build_args == {
        "VERSION": __version__,
        "BASE_IMAGE": "debian:13",
        "EXTRA_CA_CERTIFICATES": "-----BEGIN CERTIFICATE-----\n",
    }
    assert spec.reference != built(project).reference
    assert spec.provenance["base"] == "debian:13"


def test_another_opencode_is_another_image_that_is_pinned_by_its_hash(project: Path):
    integrity = "x64:sha512-" + "a" * 86 + "=="
    chosen = {"opencode_version": "1.18.34", "opencode_integrity": integrity}
    spec = built(project, **chosen)
    assert spec.build_args["OPENCODE_VERSION"] == "1.18.34"
    assert spec.build_args["OPENCODE_INTEGRITY"] == integrity
    assert spec.reference != built(project).reference
    assert spec.provenance["opencode"] == "1.18.34"
    assert "OPENCODE_VERSION" not in built(project).build_args


HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPyZ0Cs0Yk2yI5yUj6VQ3Y4r1nqk1dRk2Ihn9mWcK0aB"
SSH = {"target": "ssh", "ssh_host": "box", "ssh_host_key": HOST_KEY}


def test_an_image_that_is_sent_never_passes_for_one_that_the_host_built(project: Path):
    there, here = built(project, **SSH), built(project, **SSH, image_built_on="here")
    assert (there.is_sent, here.is_sent) == (False, True)
    assert there.reference != here.reference
    assert there.build_args == here.build_args
    # This machine is the host: there is nobody to send it to.
    assert built(project, image_built_on="here") == built(project)


def test_a_kept_image_is_run_whatever_else_is_said(project: Path):
    kept = "opencode-cloud:local-kept-0123456789ab"
    spec = image_spec(load(BUILD | {"kept_image": kept}, "local"), "local", project)
    assert spec == KeptImage(reference=kept)
    assert spec.provenance == {"source": "kept", "reference": kept}


def test_a_compose_file_says_the_same_as_the_specification():
    spec = container_spec(load(BUILD, "local"), "local")
    rendered = yaml.safe_load(compose_yaml(spec, "opencode-cloud:local"))
    service = rendered["services"]["opencode"]
    assert service["cap_drop"] == ["ALL"]
    assert service["cap_add"] == list(spec.capabilities)
    assert service["ports"] == [{"target": 8080, "published": "4096", "host_ip": "127.0.0.1"}]
    assert service["mem_limit"] == service["memswap_limit"] == "2048m"
    assert "cpus" not in service
    assert {volume["name"] for volume in rendered["volumes"].values()} == set(spec.volumes.values())


@pytest.mark.parametrize(
    ("policy", "restart", "most"),
    [
        ("unless-stopped", "unless-stopped", 0),
        ("always", "always", 0),
        ("no", "no", 0),
        ("on-failure:5", "on-failure", 5),
    ],
)
def test_a_restart_policy_is_the_same_for_the_engine_and_for_compose(
    policy: str, restart: str, most: int
):
    settings = load({"image_source": "build", "restart_policy": policy}, "local")
    spec = container_spec(settings, "local")
    assert (spec.restart, spec.most_restarts) == (restart, most)
    # A bare `no` would be false there.
    assert yaml.safe_load(compose_yaml(spec, "image"))["services"]["opencode"]["restart"] == policy


def test_a_variable_is_for_opencode_alone_and_a_secret_is_named_and_nowhere():
    environment = Environment({"PATH": "$HOME/bin"}, ("KEY",))
    spec = container_spec(load(BUILD, "local"), "local", environment)
    assert spec.environment["OPENCODE_CLOUD_ENV_PATH"] == "$HOME/bin"
    assert "PATH" not in spec.environment
    assert spec.secrets == ("KEY",)
    rendered = yaml.safe_load(compose_yaml(spec, "opencode-cloud:local"))
    # Compose makes one dollar sign of two.
    variables = rendered["services"]["opencode"]["environment"]
    assert variables["OPENCODE_CLOUD_ENV_PATH"] == "$$HOME/bin"
    assert "KEY" not in str(rendered)


def test_the_image_alone_is_watched_as_in_a_deployment(root: Path):
    health = Health()
    check = (
        f"HEALTHCHECK --interval={health.interval}s --timeout={health.timeout}s "
        f"--start-period={health.start_period}s --retries={health.retries} "
        f"CMD {json.dumps(list(health.command))}"
    )
    assert check in (root / "docker/Dockerfile").read_text()
