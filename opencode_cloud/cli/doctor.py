"""`occ doctor`."""

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import typer

from opencode_cloud.cli.commands import examples
from opencode_cloud.cli.main import DONE, FAILED
from opencode_cloud.cli.options import Options, options_of

if TYPE_CHECKING:
    from opencode_cloud.ops.doctor import Report
    from opencode_cloud.ops.doctor_checks.finding import Finding

_WORDS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM", "skipped": "not seen"}
_COLORS = {"ok": "32", "warning": "33", "problem": "1;31", "skipped": "2"}
_INDENT = " " * 11
_WIDEST = 100


def doctor(context: typer.Context) -> None:
    """Look at all that can be wrong with a deployment, and say how to mend it.

    Changes nothing. Works without a deployment and without Docker, and says what it could not
    look at. Exit code: 0 when nothing is wrong (there may be warnings), 1 otherwise.
    """
    from dataclasses import asdict

    from opencode_cloud.ops.doctor import examine

    options = options_of(context)
    report = examine(options.host, options.trace)
    if options.json:
        print(json.dumps(asdict(report), indent=2 if sys.stdout.isatty() else None))
    else:
        _print(report, options)
    raise typer.Exit(DONE if report.well else FAILED)


def _print(report: "Report", options: Options) -> None:
    from opencode_cloud.ops.doctor import GROUPS

    colored = options.color and sys.stdout.isatty()
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    for group, title in GROUPS.items():
        rows = [each for each in report.findings if each.group == group]
        if options.quiet:
            rows = [each for each in rows if each.outcome in ("warning", "problem")]
        elif rows:
            whose = f" {report.host}" if group == "host" else ""
            print(_styled(f"{title}{whose}", "1", colored=colored))
        for row in rows:
            print(finding_row(row, width, colored=colored))
    if not options.quiet:
        print(_sum(report))


def finding_row(row: "Finding", width: int, *, colored: bool) -> str:
    """Write one finding for people."""
    word = _styled(f"{_WORDS[row.outcome]:<9}", _COLORS[row.outcome], colored=colored)
    name = row.check.partition(".")[2].replace("-", " ")
    lines = _wrapped(f"{name}: {row.what}", width)
    lines += _wrapped(row.why, width)
    if row.mend:
        # Whole, so that it can be copied.
        lines.append(f"{_INDENT}To mend it: {row.mend}")
    return f"  {word}{lines[0].lstrip()}" + "".join(f"\n{line}" for line in lines[1:])


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sum(report: "Report") -> str:
    counts = (
        (report.count("problem"), "problem"),
        (report.count("warning"), "warning"),
    )
    found = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count]
    unseen = report.count("skipped")
    rest = f"; {unseen} not looked at" if unseen else ""
    return f"{' and '.join(found) or 'Nothing is wrong'}; {report.count('ok')} are well{rest}."


def _styled(text: str, code: str, *, colored: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colored else text


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "occ doctor",
            "occ doctor --quiet",
            "occ doctor --json | jq '.findings[] | select(.outcome == \"problem\")'",
        ),
    )(doctor)
