"""The deployment as an agent of macOS's launchd."""

import plistlib

from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec, part

_PATH = "/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def label(stack: str) -> str:
    """Name the agent."""
    return f"org.opencode-cloud.service.{stack}"


def launchd_agent(spec: ServiceUnitSpec) -> str:
    """Write the agent's file."""
    # launchd starts again what ended badly, knows no number of times, and puts ten seconds between
    # two starts: the script counts and waits, and ends well when it gives up.
    count = f"${{TMPDIR:-/tmp/}}{spec.name}.failures"
    run = f'run() {{\n{_body()}}}\nrun "$1" "$2" "{count}" 0 "$3"\n'
    agent = {
        "Label": label(spec.stack),
        "ProgramArguments": [
            *("/bin/sh", "-c", run, "sh"),
            *(spec.container, str(spec.retries), str(spec.delay)),
        ],
        "EnvironmentVariables": {"DOCKER_HOST": spec.docker_host, "PATH": _PATH},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 1,
        "ProcessType": "Background",
        "Umask": 0o077,
    }
    return plistlib.dumps(agent, sort_keys=False).decode()


def _body() -> str:
    return "".join(f"{line}\n" for line in part("run.sh").splitlines() if not line.startswith("#"))
