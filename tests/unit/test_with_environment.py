import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.script_parts import imported

SCRIPT = "docker/rootfs/usr/lib/opencode-cloud/with_environment.py"


@pytest.fixture
def module(root: Path) -> ModuleType:
    return imported(root / SCRIPT)


def test_settings_stay_behind_and_variables_lose_their_prefix(module: ModuleType):
    ours = {
        b"LANG": b"C",
        b"OPENCODE_CLOUD_TLS": b"off",
        b"OPENCODE_CLOUD_ENV_LANG": b"de",
        b"OPENCODE_CLOUD_ENV_A": b"a\nOPENCODE_CLOUD_TLS=internal",
    }
    found = module.environment(ours, b"KEY=x=\n\0\xff=\xfe\0")
    assert found == {
        b"LANG": b"de",
        b"A": b"a\nOPENCODE_CLOUD_TLS=internal",
        b"KEY": b"x=\n",
        b"\xff": b"\xfe",
    }


def test_no_secrets_are_none(module: ModuleType):
    assert module.environment({b"A": b"1"}, b"") == {b"A": b"1"}


def test_the_program_is_found_without_the_variables_and_no_descriptor_is_left(
    root: Path, tmp_path: Path
):
    secrets = tmp_path / "secrets"
    secrets.write_bytes(b"PATH=/nowhere\0KEY=k\0")
    show = (
        "import os, sys; print(os.environ['PATH'], os.environ['KEY'], os.listdir('/proc/self/fd'))"
    )
    command = 'exec "$0" -I "$1" "$2" -I -c "$3" 3< "$4"'
    python = Path(sys.executable).name
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(root / SCRIPT), python, show, str(secrets)],
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    # The fourth is the listing's own.
    assert done.stdout == "/nowhere k ['0', '1', '2', '3']\n"
