from typing import Any

import jsonschema
import pytest

from opencode_cloud.derive import stack_schema
from opencode_cloud.environment import (
    MOST_BYTES,
    Environment,
    environment,
    looks_secret,
    problems,
    refusal,
    secret_value,
)


def said(configuration: dict[str, str], *encrypted: str) -> list[str]:
    return [str(problem) for problem in problems(configuration, encrypted)]


def test_variables_and_secrets_are_told_apart_and_settings_are_neither():
    configuration = {"opencode:port": "1", "secret:B": "x", "env:A": "1", "secret:A1": "y"}
    assert environment(configuration) == Environment({"A": "1"}, ("A1", "B"))


def test_no_value_of_a_secret_is_in_an_environment_or_in_a_problem():
    configuration = {"secret:A": "planted", "secret:1": "planted", "env:A": "planted"}
    assert "planted" not in repr(environment({"secret:A": "planted"}))
    assert len(said(configuration)) >= 4
    assert "planted" not in "".join(said(configuration))


@pytest.mark.parametrize("name", ["A", "a", "_", "_A1", "http_proxy", "PATH", "LD_PRELOAD", "TZ"])
def test_names_that_any_program_may_know_can_be_used(name: str):
    assert refusal(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no name"),
        ("1A", "no name"),
        ("A-B", "no name"),
        ("A.B", "no name"),
        ("A\n", "no name"),
        ("\u00c4", "no name"),
        ("A" * 129, "no name"),
        ("OPENCODE_CLOUD_TLS", "the deployment's own"),
        ("OPENCODE_CLOUD_ENV_A", "the deployment's own"),
        ("OPENCODE_SERVER_PASSWORD", "between the gateway and opencode"),
        ("HOME", "who the agent is"),
        ("XDG_DATA_HOME", "lose it"),
        ("OPENCODE_DB", "lose it"),
        ("BASH_ENV", "opencode's own password"),
    ],
)
def test_names_that_would_break_something_cannot(name: str, why: str):
    assert why in refusal(name)


def test_a_name_is_one_or_the_other():
    [problem] = said({"env:A": "1", "secret:A": "x"}, "secret:A")
    assert problem.startswith("secret:A stands in env: as well")


def test_a_secret_that_is_not_encrypted_is_refused_with_how_to_encrypt_it():
    [problem] = said({"secret:A": "x"})
    assert "secret:A is not encrypted" in problem
    assert "occ secret set A" in problem
    assert said({"secret:A": "x"}, "secret:A") == []


def test_an_encrypted_variable_would_be_shown_by_docker_and_is_refused():
    [problem] = said({"env:A": "x"}, "env:A")
    assert "occ secret set A" in problem


def test_values_are_anything_but_nul_and_too_long_and_secrets_are_something():
    fine = {"env:A": "", "env:B": "a\nb = $c'\"\\", "env:C": "x" * MOST_BYTES, "secret:D": "\n"}
    assert said(fine, "secret:D") == []
    wrong = {"env:A": "a\0", "env:B": "\u00e9" * MOST_BYTES, "secret:C": ""}
    assert len(said(wrong, "secret:C")) == 3


@pytest.mark.parametrize(
    ("configured", "value"),
    [
        ("plain", "plain"),
        ('{"set": "2026-01-31T10:00:00Z", "value": "x\\n"}', "x\n"),
        ('{"set": "2026-01-31T10:00:00Z", "value": "{}"}', "{}"),
        ('{"set": "2026-01-31T10:00:00Z", "value": 1}', None),
        ('{"set": "yes", "value": "x"}', None),
        ('{"value": "x"}', None),
        ('{"type": "service_account"}', None),
        ("[" * 100_000, None),
        ("123", "123"),
    ],
)
def test_the_moment_that_occ_wrote_is_no_part_of_a_secret(configured: str, value: str | None):
    assert secret_value(configured) == (configured if value is None else value)


@pytest.mark.parametrize(
    "name",
    [
        *("OPENAI_API_KEY", "GITHUB_TOKEN", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "client_secret"),
        *("SSH_KEY", "GH_PAT", "API_KEY_2", "GOOGLE_CREDENTIALS"),
    ],
)
def test_what_is_called_a_key_looks_secret(name: str):
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["PATH", "HTTPS_PROXY", "MAX_TOKENS", "MONKEY", "KEYBOARD", "TZ"])
def test_what_is_not_does_not(name: str):
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("env:A", "x", True),
        ("env:A", 5, True),
        ("env:A", {"secure": "v1:a"}, False),
        ("secret:A", {"secure": "v1:a"}, True),
        ("secret:A", {"set": "2026-01-31T10:00:00Z", "value": {"secure": "v1:a"}}, True),
        ("secret:A", "for all", False),
        ("secret:A", {"set": "2026-01-31T10:00:00Z", "value": "for all"}, False),
    ],
)
def test_an_editor_sees_in_the_stacks_file_what_cannot_be(key: str, value: Any, allowed: bool):
    validator = jsonschema.Draft202012Validator(stack_schema())
    assert validator.is_valid({"config": {key: value}}) == allowed
