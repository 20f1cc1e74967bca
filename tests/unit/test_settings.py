import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opencode_cloud import derive
from opencode_cloud.cloud_settings import CLOUD_DEFAULTS
from opencode_cloud.configuration import SettingsError, as_config, load
from opencode_cloud.settings import SECRETS, Settings

BUILD = {"image_source": "build"}
PINNED = "ghcr.io/example/opencode-cloud@sha256:" + "a" * 64


def problems(raw: dict[str, str], stack: str = "local") -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(raw, stack)
    return {problem.key: problem.why for problem in caught.value.problems}


def test_a_stack_that_builds_needs_no_other_setting():
    settings = load(BUILD, "local")
    assert settings.url == "http://127.0.0.1:4096"
    assert not settings.exposed


def test_a_prebuilt_image_is_the_default_and_must_be_named_by_digest():
    assert "is empty" in problems({})["prebuilt_image"]
    assert "no digest" in problems({"prebuilt_image": "ghcr.io/example/image:1"})["prebuilt_image"]
    assert load({"prebuilt_image": PINNED}, "local").prebuilt_image == PINNED


def test_all_that_is_wrong_is_said_at_once_with_key_value_reason_and_remedy():
    with pytest.raises(SettingsError) as caught:
        load({"port": "70000", "bind_address": "0.0.0.0", "memory_mb": "64", "prot": "1"}, "local")
    text = str(caught.value)
    assert "5 settings of stack 'local' cannot be used" in text
    assert "opencode:port = '70000' should be less than or equal to 65535" in text
    assert "fix: pulumi config set opencode:port 4096 (the default)" in text
    assert "opencode:bind_address = '0.0.0.0' can be reached by other machines" in text
    assert "opencode:memory_mb = '64'" in text
    assert "opencode:prebuilt_image = ''" in text
    assert "did you mean port? If so: pulumi config rm opencode:prot" in text


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::", "2001:db8::1"])
def test_an_address_beyond_loopback_is_refused_unless_asked_for(address: str):
    why = problems(BUILD | {"bind_address": address})["bind_address"]
    assert "can be reached by other machines" in why
    allowed = BUILD | {"bind_address": address, "allow_network_exposure": "true"}
    assert load(allowed, "local").exposed


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_needs_no_permission(address: str):
    assert not load(BUILD | {"bind_address": address}, "local").exposed


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("::1", "http://[::1]:4096"),
        ("0.0.0.0", "http://127.0.0.1:4096"),
        ("::", "http://[::1]:4096"),
        ("192.0.2.7", "http://192.0.2.7:4096"),
    ],
)
def test_the_url_is_one_that_answers_on_the_host(address: str, url: str):
    raw = BUILD | {"bind_address": address, "allow_network_exposure": "true"}
    assert load(raw, "local").url == url


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("bind_address", "localhost", "is not an IP address"),
        ("docker_host", "tcp://127.0.0.1:2375", "is not a local Docker socket"),
        ("docker_host", "ssh://me@host", "is not a local Docker socket"),
        ("extra_ca_file", "ca.pem", "is not an absolute path"),
        ("extra_ca_file", "/nowhere/ca.pem", "does not exist"),
        ("extra_ca_file", "/etc/hostname", "holds no PEM certificate"),
        ("extra_ca_file", "/" + "a" * 5000, "cannot be read: File name too long"),
        ("delete_data_on_destroy", "yes", "is not the name of this stack, which is local"),
        ("target", "moon", "should be"),
        ("cpus", "-1", "greater than or equal to 0"),
        ("tls", "on", "is neither off, internal, sslip or alb, nor a domain name"),
        ("tls", "203.0.113.7", "nor a domain name"),
        ("tls", "sslip", "needs the address"),
        ("public_address", "here", "is not an IP address"),
        ("http_port", "8080", "has no HTTPS to send people to"),
        ("metrics_port", "4096", "is used by another setting already"),
        ("acme_server", "http://ca.example.org", "is not an https:// address"),
        ("acme_email", "me", "is not an e-mail address"),
        ("hostnames", "a.example,http://b.example", "holds 'http://b.example'"),
        ("trust_proxy", "10.0.0.1,proxy", "holds 'proxy'"),
        ("trust_proxy", "0.0.0.0/0", "everybody could then claim any address"),
        ("proxy_protocol", "true", "trust_proxy names nobody"),
        ("rate_limit_attempts", "0", "greater than or equal to 1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_the_reason(key: str, value: str, why: str):
    assert why in problems(BUILD | {key: value})[key]


@pytest.mark.parametrize(
    ("settings", "url", "redirect_port"),
    [
        ({"tls": "off"}, "http://127.0.0.1:4096", 0),
        ({"tls": "internal"}, "https://127.0.0.1:4096", 0),
        ({"tls": "internal", "http_port": "8080"}, "https://127.0.0.1:4096", 8080),
        ({"tls": "opencode.example.org", "port": "443"}, "https://opencode.example.org", 80),
        ({"tls": "opencode.example.org"}, "https://opencode.example.org:4096", 80),
        (
            {"tls": "sslip", "public_address": "203.0.113.7", "port": "443"},
            "https://203-0-113-7.sslip.io",
            80,
        ),
    ],
)
def test_tls_decides_the_url_and_where_plain_http_is_sent_on(
    settings: dict[str, str], url: str, redirect_port: int
):
    loaded = load(BUILD | settings, "local")
    assert (loaded.url, loaded.redirect_port) == (url, redirect_port)


def test_lists_are_written_with_commas_and_blanks_do_not_matter():
    loaded = load(BUILD | {"trust_proxy": " 10.0.0.0/8 ,::1,"}, "local")
    assert loaded.trust_proxy == "10.0.0.0/8,::1/128"


def test_an_unencrypted_address_is_called_so_and_an_encrypted_one_is_not():
    beyond = BUILD | {"bind_address": "0.0.0.0"}
    assert "not encrypted" in problems(beyond)["bind_address"]
    assert "not encrypted" not in problems(beyond | {"tls": "internal"})["bind_address"]


def test_data_is_deleted_only_by_the_stacks_own_name():
    assert load(BUILD | {"delete_data_on_destroy": "work"}, "work").delete_data_on_destroy
    assert problems(BUILD | {"delete_data_on_destroy": "work"}, "local")


@given(st.sampled_from(sorted(Settings.model_fields)), st.text(max_size=40))
def test_no_text_in_any_setting_ends_in_anything_but_settings_or_a_readable_refusal(
    key: str, value: str
):
    raw = BUILD | {key: value}
    try:
        refused = set[str]()
        load(raw, "local")
    except SettingsError as error:
        refused = {problem.key for problem in error.problems}
    assert refused <= {key, "prebuilt_image"}


def test_what_is_derived_from_the_code_is_up_to_date(root: Path):
    for name, make in derive.DERIVED.items():
        text = (root / name).read_text()
        assert make(text) == text, f"{name} is stale: run python -m opencode_cloud.derive"


def test_every_setting_is_typed_and_described_for_pulumi(root: Path):
    config = yaml.safe_load((root / "Pulumi.yaml").read_text())["config"]
    # Pulumi fills in a default that is declared: these have another one on rented machines, and
    # those have to be encrypted.
    left_out = {*CLOUD_DEFAULTS, *SECRETS}
    declared = [name for name in Settings.model_fields if name not in left_out]
    assert list(config) == declared
    for entry in config.values():
        assert entry["type"]
        assert entry["description"]


def test_the_published_schema_accepts_the_stacks_we_ship_and_what_pulumi_writes(root: Path):
    schema = json.loads((root / "schemas/stack.schema.json").read_text())
    shipped = sorted((root / "stacks").glob("Pulumi.*.yaml"))
    assert shipped
    for path in shipped:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    written = {
        f"opencode:{key}": as_config(field.default) for key, field in Settings.model_fields.items()
    }
    jsonschema.validate({"config": written, "encryptionsalt": "v1:..."}, schema)
    jsonschema.validate({"config": {"docker:host": "anything"}}, schema)


@pytest.mark.parametrize("key", ["opencode:prot", "opencode:port"])
def test_the_published_schema_refuses_unknown_keys_and_wrong_types(root: Path, key: str):
    schema = json.loads((root / "schemas/stack.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"config": {key: "nonsense"}}, schema)
