"""The projects that `pulumi new` makes of templates/, under recording mocks."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.program.clouds import (
    APPLY,
    COMPUTED,
    HASH,
    LOOKUPS,
    REGIONS,
    STACK,
    configuration,
    inputs,
    is_secret,
    raw,
)
from tests.program.recorder import Recorder

each = pytest.mark.parametrize("provider", REGIONS)


def typed(root: Path, provider: str) -> tuple[dict[str, str], list[str]]:
    """Answer what a template asks; gives the stack's configuration, and what of it is encrypted."""
    project = yaml.safe_load((root / "templates" / provider / "Pulumi.yaml").read_text())
    asked = project["template"]["config"]
    answers = configuration(provider)
    config = {key: str(field.get("default", answers.get(key))) for key, field in asked.items()}
    return config, [key for key, field in asked.items() if field.get("secret")]


def made(program: Path, config: dict[str, str], encrypted: list[str]) -> Recorder:
    return Recorder(LOOKUPS, COMPUTED).run(program, STACK, config, encrypted)


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template's program puts its package's modules first."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@each
def test_a_template_makes_what_the_checkout_makes(provider: str, root: Path):
    config, encrypted = typed(root, provider)
    template = made(root / "templates" / provider, config, encrypted)
    checkout = made(root, config, encrypted)
    golden = Path(__file__).parent / f"golden/{provider}.json"
    assert template.urns() == json.loads(golden.read_text())
    for resource in checkout.sent:
        assert inputs(template, resource) == inputs(checkout, resource), resource
    assert template.exports() == checkout.exports()


@each
def test_whoever_answers_a_template_can_sign_in_and_shows_the_hash_to_nobody(
    provider: str, root: Path
):
    config, encrypted = typed(root, provider)
    assert config["opencode:first_user_hash"] == HASH
    template = made(root / "templates" / provider, config, encrypted)
    assert is_secret(raw(template, APPLY)["stdin"])
    assert HASH not in json.dumps(template.exports())
