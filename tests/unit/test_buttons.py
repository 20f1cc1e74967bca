"""The buttons' templates: what can be told of them without their providers."""

import base64
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from opencode_cloud import derive
from opencode_cloud.cloud_settings import Target
from opencode_cloud.settings import Settings
from opencode_cloud.spec.cloud_config import LIMITS
from tests.program.clouds import HASH, IMAGE, KEY
from tests.unit.arm_parts import conf

SCRIPTS = {"gcp": Target.GCP, "digitalocean": Target.DIGITALOCEAN}


def filled(root: Path, provider: str, **said: str) -> subprocess.CompletedProcess[str]:
    """What the script of a button makes of the user-data."""
    answers = {
        "SSH_PUBLIC_KEY": KEY,
        "SSH_FROM": "198.51.100.0/24",
        "FIRST_USER": "ada",
        "FIRST_USER_HASH": HASH,
        "IMAGE": IMAGE,
        "ADDRESS": "203.0.113.7",
        **said,
    }
    script = f'deploy=deploy; . deploy/ask.sh; ask_all; fill "deploy/{provider}/user-data"; url >&2'
    return subprocess.run(
        ["sh", "-euc", script],
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **answers},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("provider", SCRIPTS)
def test_the_scripts_tell_the_machine_what_was_said(provider: str, root: Path):
    done = filled(root, provider)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["users"][0]["ssh_authorized_keys"] == [KEY]
    lines = conf(done.stdout)
    assert lines["PROVIDER"] == provider
    assert lines["FIRST_USER_HASH"] == HASH
    assert lines["TLS"] == "sslip"
    assert done.stderr.strip() == "https://203-0-113-7.sslip.io"
    assert len(done.stdout.encode()) <= LIMITS[SCRIPTS[provider]]
    named = filled(root, provider, DOMAIN="a.example.org")
    assert conf(named.stdout)["TLS"] == "a.example.org"
    assert named.stderr.strip() == "https://a.example.org"


@pytest.mark.parametrize("provider", SCRIPTS)
def test_the_scripts_put_nothing_in_that_would_be_another_line(provider: str, root: Path):
    done = filled(root, provider, FIRST_USER="ada\nSSH_FROM=0.0.0.0/0")
    assert done.returncode != 0
    assert "FIRST_USER has to be one line" in done.stderr


@pytest.mark.parametrize("provider", SCRIPTS)
def test_the_scripts_say_what_is_missing_where_nobody_can_be_asked(provider: str, root: Path):
    done = filled(root, provider, IMAGE="")
    assert done.returncode != 0
    assert "IMAGE is not said" in done.stderr


PACKED = (
    "deploy/aws/cloudformation.yaml",
    "deploy/azure/mainTemplate.json",
    "deploy/digitalocean/user-data",
    "deploy/gcp/user-data",
)
ARCHIVE = re.compile(r"/Td6WFo[A-Za-z0-9+/]+=*")


@pytest.fixture
def somewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is packed into the derived files, and of those."""
    for name in ("cloud-init", "deploy", "docs/deploy", "templates", "schemas"):
        shutil.copytree(root / name, tmp_path / name)
    for name in ("Pulumi.yaml", "docs/cli.md", "docs/settings.md"):
        shutil.copy(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PACKED)
def test_what_another_machine_packed_with_other_bytes_is_left_alone(name: str, somewhere: Path):
    def repack(found: re.Match[str]) -> str:
        content = lzma.decompress(base64.b64decode(found[0]))
        return base64.b64encode(lzma.compress(content, preset=0)).decode()

    text = (somewhere / name).read_text()
    repacked = ARCHIVE.sub(repack, text)
    assert repacked != text
    (somewhere / name).write_text(repacked)
    derive.main()
    assert (somewhere / name).read_text() == repacked


@pytest.mark.parametrize("name", PACKED)
def test_what_is_packed_is_made_anew_when_it_changed(name: str, somewhere: Path):
    text = (somewhere / name).read_text()
    status = somewhere / "cloud-init/status"
    status.write_text(status.read_text() + "echo more\n")
    assert derive.is_stale(text, derive.DERIVED[name])
    derive.main()
    assert (somewhere / name).read_text() != text
    assert not derive.is_stale((somewhere / name).read_text(), derive.DERIVED[name])


@pytest.mark.parametrize("name", PACKED)
def test_a_damaged_archive_is_not_taken_for_a_whole_one(name: str, root: Path):
    text = (root / name).read_text()
    [archive] = ARCHIVE.findall(text)
    for damaged in (archive[:400], archive[:399], archive.replace(archive[800:840], "A" * 40)):
        assert derive.is_stale(text.replace(archive, damaged), derive.DERIVED[name])


@pytest.mark.parametrize("name", ["aws", "gcp", "azure", "digitalocean"])
def test_the_template_for_pulumi_asks_for_settings_that_there_are(name: str, root: Path):
    project = yaml.safe_load((root / f"templates/{name}/Pulumi.yaml").read_text())
    config = project["template"]["config"]
    assert config["opencode:target"]["default"] == name
    assert {key.removeprefix("opencode:") for key in config} <= set(Settings.model_fields)
    without_default = {key for key, field in config.items() if "default" not in field}
    own = {"gcp": "opencode:gcp_project", "azure": "opencode:azure_subscription"}
    assert without_default == {
        *("opencode:ssh_public_key", "opencode:ssh_from", "opencode:first_user_hash"),
        *([own[name]] if name in own else []),
    }
    assert {key for key, field in config.items() if field.get("secret")} == {
        "opencode:first_user_hash"
    }
    requirements = (root / f"templates/{name}/requirements.txt").read_text()
    assert requirements.startswith(f"opencode-cloud[{name}]")


def test_a_releases_templates_offer_its_image(root: Path, tmp_path: Path):
    def release(image: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "tools/release_templates.py", image, str(tmp_path / "dist")]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert release("opencode-cloud:latest").returncode == 2
    assert not (tmp_path / "dist").exists()
    assert release(IMAGE).returncode == 0
    stack = yaml.safe_load((tmp_path / "dist/cloudformation.yaml").read_text())
    assert stack["Parameters"]["Image"]["Default"] == IMAGE
    template = json.loads((tmp_path / "dist/mainTemplate.json").read_text())
    assert template["parameters"]["image"]["defaultValue"] == IMAGE
    assert IMAGE in (tmp_path / "dist/createUiDefinition.json").read_text()


@pytest.mark.parametrize("name", ["aws", "gcp", "azure", "digitalocean"])
def test_the_page_of_a_provider_names_every_resource_that_the_stack_makes(name: str, root: Path):
    page = (root / f"docs/deploy/{name}.md").read_text()
    [made] = re.findall(r"## What is made\n(.*?)## What it costs", page, re.DOTALL)
    urns = json.loads((root / f"tests/program/golden/{name}.json").read_text())
    kinds = {urn.split("::")[2].rpartition("$")[2].rpartition(":")[2] for urn in urns}
    # Those that are at no provider.
    kinds -= {"Command", name, "azure-native"}
    kinds = {kind for kind in kinds if not kind.endswith("Vm")}
    assert len(kinds) > 5
    assert {kind for kind in kinds if not re.search(rf"\b{kind}\b", made)} == set()
