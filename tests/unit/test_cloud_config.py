"""The user-data of rented machines, and the archives that change them afterwards."""

import ast
import base64
import io
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from opencode_cloud.cloud_settings import CLOUDS, Target
from opencode_cloud.configuration import load
from opencode_cloud.environment import Environment
from opencode_cloud.spec.cloud_config import ARCHIVE, EXAMPLE, LIMITS, example, render
from opencode_cloud.spec.compose import SERVICE
from opencode_cloud.spec.image import BuiltImage
from opencode_cloud.spec.machine import CONF_FILE, Machine, machine, shipped_files
from opencode_cloud.spec.vm_bundle import bundle, encoded

HASH = "$6$salt$" + "x" * 86


def described(root: Path, **changes: str) -> Machine:
    settings = load({**EXAMPLE, "target": "aws", **changes}, "example")
    return machine(settings, "example", settings.prebuilt_image, shipped_files(root))


def members(text: str) -> dict[str, tuple[int, bytes]]:
    """Unpack what ``COMMAND`` would get."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text)), mode="r:*") as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            assert file
            found[f"/{entry.name}"] = (entry.mode, file.read())
    return found


@pytest.mark.parametrize("provider", CLOUDS)
def test_user_data_fits_with_all_that_a_template_may_add(provider: Target, root: Path):
    whole = example(provider, root)
    # A long key, a hash and a signed address to tell how it went.
    filled = {"FIRST_USER_HASH": HASH, "COMPLETION_URL": "https://" + "x" * 600}
    grown = replace(whole, values={**whole.values, **filled}, ssh_public_key="ssh-rsa " + "A" * 700)
    assert len(render(grown).encode()) < LIMITS[provider]


@pytest.mark.parametrize("provider", CLOUDS)
def test_the_same_machine_gives_the_same_text(provider: Target, root: Path):
    assert render(example(provider, root)) == render(example(provider, root))


def test_user_data_is_yaml_that_holds_every_file(root: Path):
    whole = example(Target.AWS, root)
    text = render(whole)
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    conf, archive = document["write_files"]
    assert conf["content"] == whole.files[0].content
    assert (conf["path"], conf["permissions"]) == (CONF_FILE, "0600")
    assert archive["path"] == ARCHIVE
    held = members(archive["content"])
    assert {path: content.decode() for path, (_, content) in held.items()} == {
        file.path: file.content for file in whole.files[1:]
    }
    assert {path for path, (mode, _) in held.items() if mode & 0o111} == {
        path
        for path in held
        if path.startswith(("/usr/bin/", "/usr/sbin/", "/usr/lib/opencode-cloud/steps/"))
    }


def test_a_template_can_fill_in_what_people_type(root: Path):
    whole = example(Target.AWS, root)
    parameters = {name: f"${{{name}}}" for name in ("ADDRESS", "SSH_FROM", "FIRST_USER_HASH")}
    text = render(replace(whole, values={**whole.values, **parameters}, ssh_public_key="${Key}"))
    filled = (
        text.replace("${ADDRESS}", "203.0.113.7")
        .replace("${FIRST_USER_HASH}", HASH)
        .replace("${Key}", "ssh-ed25519 AAAA ada: # the first")
    )
    document = yaml.safe_load(filled)
    assert "ADDRESS=203.0.113.7\nDATA_DISK=auto\nSSH_FROM=${SSH_FROM}" in filled.replace("    ", "")
    assert f"FIRST_USER_HASH={HASH}\n" in document["write_files"][0]["content"]
    assert document["users"][0]["ssh_authorized_keys"] == ["ssh-ed25519 AAAA ada: # the first"]


def test_nothing_but_the_hash_is_secret_in_it(root: Path):
    settings = load({**EXAMPLE, "target": "aws", "first_user_hash": HASH}, "example")
    environment = Environment(variables={"A": "$B"}, secrets=("API_KEY",))
    whole = machine(
        settings, "example", settings.prebuilt_image, shipped_files(root), environment=environment
    )
    assert all("API_KEY" not in file.content for file in whole.files)
    assert "OPENCODE_CLOUD_ENV_A: $$B" in whole.compose


def test_the_container_takes_what_may_be_a_parameter_from_the_machine(root: Path):
    service = yaml.safe_load(described(root, tls="internal").compose)["services"][SERVICE]
    assert service["environment"]["OPENCODE_CLOUD_TLS"] == "${OPENCODE_CLOUD_TLS}"
    address = service["environment"]["OPENCODE_CLOUD_PUBLIC_ADDRESS"]
    assert address == "${OPENCODE_CLOUD_PUBLIC_ADDRESS}"
    published = {port["published"] for port in service["ports"]}
    assert published == {"443", "80"}


def code(text: str) -> str:
    """Give a program without the texts that only people read."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [line for line in node.body if not is_text(line)]
    return ast.dump(tree)


def is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def test_what_the_machine_gets_without_comments_is_the_same_program(root: Path):
    shipped = {file.path: file.content for file in shipped_files(root)}
    pairs = {
        "/usr/sbin/opencode-cloud-apply": "apply.py",
        "/usr/lib/opencode-cloud/beacon": "beacon.py",
        "/usr/lib/opencode-cloud/last_run.py": "last_run.py",
    }
    for place, name in pairs.items():
        whole = (root / "cloud-init" / name).read_text()
        assert code(shipped[place]) == code(whole)
        assert "noqa" not in shipped[place]
    for path, content in shipped.items():
        if content.startswith("#!/bin/sh"):
            subprocess.run(["sh", "-n"], input=content, text=True, check=True)
            assert content.count("#!/bin/sh") == 1, path


def test_a_change_holds_the_secrets_and_says_that_it_is_whole(root: Path):
    whole = described(root)
    held = members(encoded(bundle(whole, {"API_KEY": "of-nobody"})))
    assert held["/etc/opencode-cloud/secrets/API_KEY"] == (0o600, b"of-nobody")
    assert held["/etc/opencode-cloud/machine.conf"][0] == 0o600
    assert list(held)[-1] == "/end"


def test_a_change_brings_what_an_image_is_built_from(root: Path, tmp_path: Path):
    context = tmp_path / "docker"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    (context / "run").write_text("#!/bin/sh\n")
    (context / "run").chmod(0o755)
    (context / "picture").write_bytes(b"\xff\x00\xfe")
    image = BuiltImage(project=tmp_path, build_args={"VERSION": "1", "CA": "a\nb\n"}, stack="x")
    held = members(encoded(bundle(described(root), {}, image)))
    build = "/var/lib/opencode-cloud/build"
    assert held[f"{build}/image"][1].decode() == f"{image.reference}\n"
    assert held[f"{build}/context/run"] == (0o755, b"#!/bin/sh\n")
    assert held[f"{build}/context/picture"][1] == b"\xff\x00\xfe"
    assert held[f"{build}/args/CA"][1] == b"a\nb\n"


def test_a_provider_is_printed_for_people(root: Path):
    command = [sys.executable, "-m", "opencode_cloud.spec.cloud_config"]
    done = subprocess.run(
        [*command, "azure"], cwd=root, capture_output=True, text=True, check=False
    )
    assert yaml.safe_load(done.stdout)["ssh_pwauth"] is False
    assert "of 65536 bytes" in done.stderr
    wrong = subprocess.run(
        [*command, "local"], cwd=root, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert "usage: " in wrong.stderr
