"""The stack's settings, in their file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opencode_cloud.ops.doctor_checks.finding import Finding, ok, problem, skipped


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong with a setting, or with the file."""

    what: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class SettingsFile:
    """The file, as it was read."""

    path: str
    there: bool
    unreadable: str = ""
    wrong: Sequence[Wrong] = ()


def check(file: SettingsFile, edit: str) -> Iterator[Finding]:
    """Judge it; `edit` is the command that opens it."""
    name = "settings.file"
    why = "Nothing can be applied. What runs, runs on."
    if not file.there:
        yield skipped(name, f"settings in {file.path}", "this stack has none here")
        return
    if file.unreadable:
        yield problem(name, file.unreadable.splitlines()[0], why, edit)
        return
    for wrong in file.wrong:
        yield problem(name, wrong.what, why, wrong.fix)
    if not file.wrong:
        yield ok(name, f"{file.path} is valid")
