import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from opencode_cloud.start import stack_file
from opencode_cloud.start.engine import Engine
from opencode_cloud.start.plan import Context
from opencode_cloud.start.process import Runner
from opencode_cloud.start.steps.base_image import LOCAL_BASE
from opencode_cloud.start.steps.docker_engine import DEFAULT_HOST
from opencode_cloud.start.steps.stack import Stack
from tests.unit.start_parts import LINUX, Notes, RecordingRunner, context, runner_of


def stack(asked: Context, settings: str = "  opencode:image_source: build\n") -> Stack:
    asked.engine = Engine("test")
    asked.paths.stack_file(asked.options.stack).write_text(f"config:\n{settings}")
    return Stack(asked)


def test_a_machine_like_any_other_needs_no_settings(tmp_path: Path):
    asked = context(tmp_path)
    asked.docker_host = DEFAULT_HOST
    assert stack(asked).plan() == ["pulumi stack select --create local"]


def test_only_what_differs_on_this_machine_is_set(tmp_path: Path):
    asked = context(tmp_path, port=4097)
    asked.docker_host, asked.base_image, asked.extra_ca = "unix:///d.sock", LOCAL_BASE, "PEM"
    step = stack(asked)
    step.run(Notes())
    assert runner_of(asked).ran[1] == (
        *("pulumi", "config", "set-all", "--stack", "local"),
        *("--plaintext", "port=4097"),
        *("--plaintext", "docker_host=unix:///d.sock"),
        *("--plaintext", f"base_image={LOCAL_BASE}"),
        *("--plaintext", f"extra_ca_file={asked.paths.extra_ca}"),
        "--non-interactive",
    )
    assert asked.paths.extra_ca.read_text() == "PEM"


def test_what_is_set_already_is_not_set_again(tmp_path: Path):
    asked = context(tmp_path, port=4097)
    asked.docker_host, asked.base_image, asked.extra_ca = "unix:///d.sock", LOCAL_BASE, "PEM"
    asked.paths.extra_ca.write_text("PEM")
    settings = (
        '  opencode:port: "4097"\n  opencode:docker_host: unix:///d.sock\n'
        f"  opencode:base_image: {LOCAL_BASE}\n  opencode:image_source: build\n"
        f"  opencode:extra_ca_file: {asked.paths.extra_ca}\n"
    )
    assert stack(asked, settings).plan() == ["pulumi stack select --create local"]


def test_authorities_that_changed_are_written_anew(tmp_path: Path):
    asked = context(tmp_path)
    asked.extra_ca = "NEW"
    asked.paths.extra_ca.write_text("OLD")
    settings = f"  opencode:image_source: build\n  opencode:extra_ca_file: {asked.paths.extra_ca}\n"
    stack(asked, settings).run(Notes())
    assert asked.paths.extra_ca.read_text() == "NEW"


def test_what_this_machine_needed_once_is_taken_back(tmp_path: Path):
    asked = context(tmp_path)
    settings = (
        f"  opencode:image_source: build\n  opencode:base_image: {LOCAL_BASE}\n"
        f"  opencode:extra_ca_file: {asked.paths.extra_ca}\n"
    )
    assert stack(asked, settings).plan()[1:] == [
        "pulumi config rm --stack local base_image",
        "pulumi config rm --stack local extra_ca_file",
    ]


def test_settings_of_the_users_own_are_left_alone(tmp_path: Path):
    asked = context(tmp_path)
    asked.extra_ca = "PEM"
    asked.base_image = "ubuntu:24.04"
    settings = (
        "  opencode:image_source: build\n  opencode:base_image: ubuntu:24.04\n"
        "  opencode:extra_ca_file: /etc/company.pem\n"
    )
    assert stack(asked, settings).plan() == ["pulumi stack select --create local"]


def test_a_stack_of_the_users_own_builds_its_image_unless_it_names_one(tmp_path: Path):
    asked = context(tmp_path, stack="second")
    assert "--plaintext image_source=build" in stack(asked, "").plan()[1]
    named = stack(asked, "  opencode:prebuilt_image: x@sha256:1\n")
    assert named.plan() == ["pulumi stack select --create second"]


def test_settings_are_read_as_pulumi_writes_them(tmp_path: Path):
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text(
        "# comment\nencryptionsalt: v1:x\nconfig:\n"
        '  opencode:port: "4097"\n'
        "  opencode:bind_address: '127.0.0.1'\n"
        "  opencode:base_image: debian:13  # ours\n"
        "  opencode:key:\n    secure: v1:secret\n"
        "  docker:host: unix:///x\n"
    )
    assert stack_file.read(file) == {
        "port": "4097",
        "bind_address": "127.0.0.1",
        "base_image": "debian:13",
    }
    assert stack_file.has_secrets(file)
    assert stack_file.read(tmp_path / "none") == {}


def test_a_setting_that_ends_with_a_new_line_is_read_as_well(tmp_path: Path):
    file = tmp_path / "Pulumi.a.yaml"
    file.write_text(
        "config:\n  opencode:ssh_public_key: |\n    ssh-ed25519 AAAA ada\n  opencode:port: 1\n"
    )
    assert stack_file.read(file) == {"ssh_public_key": "ssh-ed25519 AAAA ada", "port": "1"}


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("  secret:A: {set: x, value: {secure: v1:a:b}}", True),
        ("  secret:A: {secure: v1:a:b}", True),
        ("  # secure: not any more", False),
        ("  env:A: secured", False),
    ],
)
def test_an_encrypted_value_is_seen_however_it_is_written(tmp_path: Path, line: str, has: bool):
    file = tmp_path / "file.yaml"
    file.write_text(f"config:\n{line}\n")
    assert stack_file.has_secrets(file) == has


def test_git_is_told_once_to_leave_a_tracked_stack_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for variable in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.setenv(f"GIT_{variable}", "ada@example.com")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pulumi").write_text("#!/bin/sh\n")
    (programs / "pulumi").chmod(0o755)
    asked = context(tmp_path, Runner({}, LINUX))
    asked.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    step = stack(asked)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(asked.paths.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("add", "stacks")
    git("commit", "--quiet", "--message", "a stack", "stacks")
    hide = "git update-index --skip-worktree stacks/Pulumi.local.yaml"
    assert step.plan()[-1].startswith(hide)
    step.run(Notes())
    asked.paths.stack_file("local").write_text("encryptionsalt: v1:x\n")
    assert git("status", "--porcelain", "--", "stacks") == ""
    assert not [line for line in step.plan() if line.startswith("git")]


@pytest.mark.parametrize(("printed", "made"), [(["Created stack 'local'"], True), ([], False)])
def test_a_stack_that_another_backend_has_already_is_not_said_to_be_made(
    tmp_path: Path, printed: list[str], made: bool
):
    class Printing(RecordingRunner):
        def run(self, *command: str, stdin: str | None = None, **_: Any) -> list[str]:
            super().run(*command, stdin=stdin)
            return printed

    asked = context(tmp_path, Printing())
    outcome = stack(asked).run(Notes())
    assert outcome.changed is made
    assert asked.changes == (["made the stack local"] if made else [])
