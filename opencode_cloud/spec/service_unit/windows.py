"""The deployment as a task of Windows' Task Scheduler."""

from xml.etree import ElementTree as ET

from opencode_cloud.spec.service_unit.spec import ServiceUnitSpec

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
LEAST_DELAY_SECONDS = 60
"""The scheduler takes no shorter one (schema of `RestartOnFailure/Interval`)."""
MOST_RETRIES = 255
_OPTIONS = "-NoProfile -NonInteractive"


def register(stack: str) -> str:
    """Write the command that reads a task's XML, and has the scheduler run it from now on."""
    xml = "([Console]::In.ReadToEnd())"
    made = f"Register-ScheduledTask -Force {_named(stack)} -Xml {xml}"
    return _powershell(f"$ErrorActionPreference = 'Stop'; {made} | Start-ScheduledTask")


def unregister(stack: str) -> str:
    """Write the command that removes a task, if it is there."""
    return _powershell(
        f"Get-ScheduledTask {_named(stack)} -ErrorAction SilentlyContinue | "
        "Unregister-ScheduledTask -Confirm:$false"
    )


def _named(stack: str) -> str:
    return f"-TaskPath '\\opencode-cloud\\' -TaskName '{stack}'"


def _powershell(command: str) -> str:
    return f'powershell.exe {_OPTIONS} -Command "{command}"'


def windows_task(spec: ServiceUnitSpec) -> str:
    """Write the task's XML, on one line.

    It starts when its user signs in: Docker Desktop runs for one who did. What the scheduler starts
    again is what failed, so that the end of the container is a failure, whatever its exit code.
    """
    ET.register_namespace("", NAMESPACE)
    task = ET.Element(f"{{{NAMESPACE}}}Task", {"version": "1.3"})
    add = _Adding(task)
    add("RegistrationInfo/Description", f"opencode-cloud deployment {spec.stack}")
    add("Triggers/LogonTrigger/Enabled", "true")
    add("Principals/Principal/LogonType", "InteractiveToken")
    add("Principals/Principal/RunLevel", "LeastPrivilege")
    add("Settings/MultipleInstancesPolicy", "IgnoreNew")
    add("Settings/DisallowStartIfOnBatteries", "false")
    add("Settings/StopIfGoingOnBatteries", "false")
    if spec.retries:
        add("Settings/RestartOnFailure/Interval", f"PT{max(spec.delay, LEAST_DELAY_SECONDS)}S")
        add("Settings/RestartOnFailure/Count", str(min(spec.retries, MOST_RETRIES)))
    add("Settings/ExecutionTimeLimit", "PT0S")
    add("Settings/Priority", "7")
    add("Actions/Exec/Command", "powershell.exe")
    add(
        "Actions/Exec/Arguments",
        f'-NoProfile -NonInteractive -WindowStyle Hidden -Command "{_run(spec)}"',
    )
    return ET.tostring(task, encoding="unicode")


def _run(spec: ServiceUnitSpec) -> str:
    docker = f"docker --host '{spec.docker_host}'"
    return (
        f"while (-not ({docker} version --format ok 2>$null)) {{ Start-Sleep 1 }}; "
        f"{docker} start '{spec.container}'; {docker} wait '{spec.container}'; exit 1"
    )


class _Adding:
    """Adds elements by their path; what is there already is used."""

    def __init__(self, root: ET.Element) -> None:
        self._root = root

    def __call__(self, path: str, text: str) -> None:
        element = self._root
        for name in path.split("/"):
            tag = f"{{{NAMESPACE}}}{name}"
            found = element.find(tag)
            element = ET.SubElement(element, tag) if found is None else found
        element.text = text
