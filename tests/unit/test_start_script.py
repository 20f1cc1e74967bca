"""The shell part of ./start, on machines that lack things."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.start_parts import ROOT

TOOLS = ("sh", "cat", "dirname", "readlink", "uname", "env")
OLD_PYTHON = """#!/bin/sh
case $* in
    --version) echo Python 3.9.2 ;;
    *ensurepip*) exit 1 ;;
esac
"""
NEW_PYTHON = '#!/bin/sh\ncase $1 in -m) echo "ran $* in $(pwd -P)" ;; esac\nexit 0\n'

Machine = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "check out"
    (root / "opencode_cloud" / "start").mkdir(parents=True)
    for file in ("start", "opencode_cloud/start/python.sh", "opencode_cloud/start/usage.txt"):
        shutil.copy(ROOT / file, root / file)
    return root


@pytest.fixture
def run(tmp_path: Path, checkout: Path) -> Machine:
    """Run ./start with these programs on PATH and no others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or "")
    log = tmp_path / "apt.log"

    def start(
        *arguments: str,
        programs: dict[str, str] | None = None,
        uid: int = 0,
        system: str = "Linux",
        script: Path | None = None,
        path: Path | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        fakes = {
            "id": f"#!/bin/sh\necho {uid}\n",
            "uname": f"#!/bin/sh\necho {system}\n",
            "git": "#!/bin/sh\n",
            **(programs or {}),
        }
        for name, text in fakes.items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_text(text.replace("LOG", str(log)))
            (folder / name).chmod(0o755)
        return subprocess.run(
            [script or checkout / "start", *arguments],
            env={"PATH": f"{folder}:{path or folder}", "BIN": str(folder)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


APT = {"apt-get": '#!/bin/sh\necho "apt-get $*" >> "LOG"\n'}
# The installation is what brings the Python.
APT_WITH_PYTHON = {
    "apt-get": (
        '#!/bin/sh\necho "apt-get $*" >> "LOG"\n'
        "case $* in *install*) printf '#!/bin/sh\\ncase $1 in -m) echo ran;; esac\\n' "
        '> "$BIN/python3"; "$BIN/chmod" 755 "$BIN/python3" ;; esac\n'
    ),
    "chmod": f'#!/bin/sh\nexec {shutil.which("chmod")} "$@"\n',
}


def test_a_python_that_is_new_enough_gets_everything(run: Machine, checkout: Path):
    done = run("--user", "a b", programs={"python3": NEW_PYTHON})
    assert done.stdout == f"ran -m opencode_cloud.start --user a b in {checkout}\n"
    assert done.returncode == 0


def test_it_runs_through_a_symlink_from_another_folder(
    run: Machine, checkout: Path, tmp_path: Path
):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "one").symlink_to("../check out/start")
    (tmp_path / "two").symlink_to("links/one")
    done = run(programs={"python3": NEW_PYTHON}, script=tmp_path / "two")
    assert done.stdout.strip().endswith(f"in {checkout}")


def test_a_newer_python_by_its_own_name_is_found_behind_an_old_one(run: Machine):
    done = run(programs={"python3": OLD_PYTHON, "python3.12": NEW_PYTHON})
    assert done.stdout.startswith("ran -m opencode_cloud.start")


def test_a_python_that_does_not_work_hides_none_that_does(
    run: Machine, checkout: Path, tmp_path: Path
):
    behind = tmp_path / "behind it"
    behind.mkdir()
    (behind / "python3").write_text(NEW_PYTHON)
    (behind / "python3").chmod(0o755)
    broken = "#!/bin/sh\necho 'pyenv: python3: command not found' >&2\nexit 127\n"
    done = run(programs={"python3": broken}, path=behind)
    assert done.stdout.startswith("ran -m opencode_cloud.start")


def test_help_needs_no_python(run: Machine):
    done = run("--help")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "opencode_cloud/start/usage.txt").read_text()


def test_a_dry_run_without_python_names_the_packages_and_installs_nothing(
    run: Machine, tmp_path: Path
):
    done = run("--dry-run", programs=APT)
    assert done.returncode == 0
    assert "apt-get install -y --no-install-recommends python3 python3-venv" in done.stderr
    assert not (tmp_path / "apt.log").exists()


def test_root_gets_python_installed_and_sees_the_commands(run: Machine, tmp_path: Path):
    done = run(programs=APT_WITH_PYTHON)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    commands = (tmp_path / "apt.log").read_text().splitlines()
    assert commands[0].endswith(" update")
    assert "--no-install-recommends python3 python3-venv" in commands[1]
    assert done.stderr.count("+ ") == 2


def test_an_installation_that_fails_says_why(run: Machine):
    full = {"apt-get": "#!/bin/sh\necho 'E: You do not have enough free space' >&2\nexit 100\n"}
    done = run(programs=full)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "E: You do not have enough free space\nThat failed. Mend it, then run ./start again.\n"
    )


def test_a_user_with_sudo_gets_python_installed_by_sudo(run: Machine, tmp_path: Path):
    sudo = {"sudo": '#!/bin/sh\necho "sudo" >> "LOG"\nexec "$@"\n'}
    done = run(programs=APT_WITH_PYTHON | sudo, uid=1000)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert (tmp_path / "apt.log").read_text().count("sudo\n") == 2


@pytest.mark.parametrize(
    ("programs", "system", "words"),
    [
        (APT, "Linux", "Ask an administrator to run:\n    apt-get install -y"),
        ({"dnf": "#!/bin/sh\n"}, "Linux", "sudo dnf install -y python3"),
        ({}, "Linux", "your distribution's package manager"),
        ({}, "Darwin", "brew install python@3.13"),
        ({}, "MINGW64_NT-10.0", "wsl --install -d Debian"),
        ({"python3": OLD_PYTHON}, "Linux", "This system's own is older: Python 3.9.2."),
    ],
)
def test_whoever_cannot_install_is_told_what_to_do(
    run: Machine, programs: dict[str, str], system: str, words: str
):
    done = run(programs=programs, uid=1000, system=system)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.endswith("then run ./start again.\n")
    assert done.stdout == ""


def test_exports_before_anything_is_set_up_are_refused_and_nothing_is_installed(
    run: Machine, tmp_path: Path
):
    done = run("--print-env", programs=APT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Nothing is set up yet. Run ./start first.\n"
    assert not (tmp_path / "apt.log").exists()


def test_a_dry_run_leaves_no_compiled_files(run: Machine):
    tells = '#!/bin/sh\ncase $1 in -m) echo "[$PYTHONDONTWRITEBYTECODE]" ;; esac\n'
    assert run("--dry-run", programs={"python3": tells}).stdout == "[1]\n"
    assert run(programs={"python3": tells}).stdout == "[]\n"
