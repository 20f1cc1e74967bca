"""The templates for `pulumi new`, with the real engine."""

import subprocess
from pathlib import Path

import pytest
import yaml


@pytest.mark.parametrize("provider", ["aws", "gcp", "azure", "digitalocean"])
def test_pulumi_new_makes_a_project_of_the_template(provider: str, root: Path, tmp_path: Path):
    made = tmp_path / "mine"
    # Of the stack is asked when there is one, which takes the package: tests/aws/test_template.py.
    words = ("--generate-only", "--yes", "--name", "mine", "--description", "opencode of mine")
    subprocess.run(
        ["pulumi", "new", str(root / "templates" / provider), *words, "--dir", str(made)],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    project = yaml.safe_load((made / "Pulumi.yaml").read_text())
    assert project["name"] == "mine"
    assert project["description"] == "opencode of mine"
    assert (made / "requirements.txt").read_text() == f"opencode-cloud[{provider}]\n"
    assert "program_file.run()" in (made / "__main__.py").read_text()
