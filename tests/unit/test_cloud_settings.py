"""What a rented machine is told, and what is refused with a way out."""

import json
from pathlib import Path

import jsonschema
import pytest

from opencode_cloud.cloud_settings import CLOUDS, Target
from opencode_cloud.configuration import SettingsError, default, load, unencrypted

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA" + "0" * 44 + " ada@example"
PINNED = "ghcr.io/example/opencode-cloud@sha256:" + "a" * 64
HASH = "$6$salt$" + "x" * 86
CLOUD = {
    "region": "here-1",
    "ssh_public_key": KEY,
    "ssh_from": "192.0.2.7/32",
    "prebuilt_image": PINNED,
    "gcp_project": "mine",
    "azure_subscription": "0000",
}


def problems(raw: dict[str, str]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(raw, "cloud")
    return {problem.key: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize("target", CLOUDS)
def test_a_rented_machine_speaks_https_to_everybody_and_nothing_else(target: Target):
    settings = load(CLOUD | {"target": target}, "cloud")
    assert (settings.port, settings.redirect_port) == (443, 80)
    assert (settings.bind_address, settings.tls) == ("0.0.0.0", "sslip")
    assert settings.at("203.0.113.7").url == "https://203-0-113-7.sslip.io"


def test_its_defaults_are_the_settings_of_nobody_who_set_them():
    raw = CLOUD | {"target": "aws", "port": "8443", "tls": "opencode.example.org"}
    settings = load(raw, "cloud")
    assert settings.at("203.0.113.7").url == "https://opencode.example.org:8443"
    internal = load(CLOUD | {"target": "aws", "tls": "internal"}, "cloud")
    assert internal.at("203.0.113.7").url == "https://203.0.113.7:443"
    assert internal.redirect_port == 80


BALANCED = {
    "target": "aws",
    "region": "eu-central-1",
    "tls": "alb",
    "alb_certificate": "arn:aws:acm:eu-central-1:123456789012:certificate/1f0c",
    "alb_domain": "opencode.example.org",
}


def test_a_load_balancer_of_aws_has_the_name_and_the_machine_speaks_https_to_it_alone():
    settings = load(CLOUD | BALANCED | {"port": "8443", "trust_proxy": "192.0.2.1"}, "cloud")
    assert settings.at("203.0.113.7").url == "https://opencode.example.org"
    assert (settings.gateway_tls, settings.redirect_port) == ("internal", 0)
    assert settings.trusted_proxies == "10.20.0.0/22,192.0.2.1/32"
    assert settings.gateway_hostnames == "opencode.example.org"


def test_what_a_load_balancer_needs_can_be_set_before_it_is_asked_for():
    settings = load(CLOUD | BALANCED | {"tls": "sslip"}, "cloud")
    assert not settings.is_load_balanced
    assert settings.gateway_hostnames == ""


@pytest.mark.parametrize(
    ("changed", "key", "said"),
    [
        ({"target": "gcp"}, "tls", "a load balancer of AWS, and target is gcp"),
        ({"target": "local"}, "tls", "a load balancer of AWS, and target is local"),
        ({"alb_certificate": ""}, "alb_certificate", "is empty, and tls is alb"),
        ({"alb_domain": ""}, "alb_domain", "is empty, and tls is alb"),
        ({"alb_certificate": "mine"}, "alb_certificate", "`aws acm list-certificates` shows it"),
        ({"region": "us-east-1"}, "alb_certificate", "is not in us-east-1"),
        ({"http_port": "80"}, "http_port", "the load balancer itself sends HTTP on"),
        ({"trust_proxy": "10.0.0.1", "proxy_protocol": "true"}, "proxy_protocol", "not speak it"),
    ],
)
def test_a_load_balancer_that_cannot_be_is_refused(changed: dict[str, str], key: str, said: str):
    assert said in problems(CLOUD | BALANCED | changed)[key]


def test_plain_http_is_refused_where_the_internet_is_the_way():
    said = problems(CLOUD | {"target": "aws", "tls": "off"})["tls"]
    assert "would cross the internet readable" in said
    assert "fix: pulumi config rm opencode:tls" in said


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        *((target, "region") for target in CLOUDS),
        *((target, "ssh_public_key") for target in CLOUDS),
        *((target, "ssh_from") for target in CLOUDS),
        (Target.GCP, "gcp_project"),
        (Target.AZURE, "azure_subscription"),
    ],
)
def test_what_a_provider_needs_is_asked_for(target: Target, missing: str):
    said = problems(CLOUD | {"target": target, missing: ""})
    assert list(said) == [missing]
    assert f"fix: pulumi config set opencode:{missing}" in said[missing]


def test_everybody_may_try_ssh_only_when_that_is_said():
    said = problems(CLOUD | {"target": "aws", "ssh_from": ""})["ssh_from"]
    assert "0.0.0.0/0,::/0 lets everybody try" in said
    settings = load(CLOUD | {"target": "aws", "ssh_from": "0.0.0.0/0, ::/0"}, "cloud")
    assert settings.ssh_from == "0.0.0.0/0,::/0"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ssh_from", "192.0.2.7/24", "has host bits set"),
        ("ssh_from", "everywhere", "is no network"),
        ("ssh_public_key", "-----BEGIN OPENSSH PRIVATE KEY-----", "is no public key"),
        ("ssh_public_key", f"{KEY}\n{KEY}", "is no public key"),
        ("ssh_public_key", f'command="sh" {KEY}', "is no public key"),
        ("region", "here; reboot", "is no name"),
        ("data_disk_gb", "1", "greater than or equal to 10"),
        ("service_unit", "true", "has a unit of its own"),
        ("first_user", "Ada", "cannot be a user name"),
    ],
)
def test_what_cannot_be_used_is_refused(key: str, value: str, said: str):
    assert said in problems(CLOUD | {"target": "aws", key: value})[key]


@pytest.mark.parametrize("key", ["region", "size", "ssh_public_key", "ssh_from"])
def test_this_machine_is_not_rented(key: str):
    raw = {"image_source": "build", key: CLOUD.get(key, "small")}
    assert "is of a rented machine, and target is local" in problems(raw)[key]


@pytest.mark.parametrize("text", ["hunter2hunter2", "$1$salt$hash", "$6$salt$short"])
def test_a_password_in_the_place_of_its_hash_is_refused_and_not_repeated(text: str):
    said = problems(CLOUD | {"target": "aws", "first_user_hash": text})["first_user_hash"]
    assert "is no hash of a password" in said
    assert text not in said


def test_the_hash_is_nobodys_to_see():
    settings = load(CLOUD | {"target": "aws", "first_user_hash": HASH}, "cloud")
    assert HASH not in repr(settings)
    assert HASH not in str(settings.model_dump())
    assert settings.first_user_hash.get_secret_value() == HASH


def test_a_hash_that_is_not_encrypted_is_refused(root: Path):
    key = "opencode:first_user_hash"
    (problem,) = unencrypted({key: HASH}, encrypted=set())
    assert HASH not in str(problem)
    assert "pulumi config set --secret opencode:first_user_hash" in str(problem)
    assert unencrypted({key: HASH}, encrypted={key}) == []
    assert unencrypted({}, encrypted=set()) == []
    schema = json.loads((root / "schemas/stack.schema.json").read_text())
    jsonschema.validate({"config": {key: {"secure": "v1:x"}}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"config": {key: HASH}}, schema)


def test_a_default_is_that_of_the_target():
    assert (default("port"), default("port", Target.AWS)) == (4096, 443)
    assert default("tls", Target.LOCAL) == "off"
    assert default("first_user_hash") == ""
