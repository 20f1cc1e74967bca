"""What one check found."""

from dataclasses import dataclass

OK, WARNING, PROBLEM, SKIPPED = "ok", "warning", "problem", "skipped"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """Its name; stays the same over versions, such as `docker.version`."""
    outcome: str
    """`ok`, `warning`, `problem`, or `skipped` when it could not be looked at."""
    what: str
    """What was found."""
    why: str = ""
    """What comes of it; or why it was skipped."""
    mend: str = ""
    """What to do, as it is typed."""

    @property
    def group(self) -> str:
        """What it belongs to."""
        return self.check.partition(".")[0]


def ok(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, outcome=OK, what=what)


def warning(check: str, what: str, why: str, mend: str) -> Finding:
    """It works, and may not go on so."""
    return Finding(check=check, outcome=WARNING, what=what, why=why, mend=mend)


def problem(check: str, what: str, why: str, mend: str) -> Finding:
    """Something does not work."""
    return Finding(check=check, outcome=PROBLEM, what=what, why=why, mend=mend)


def skipped(check: str, what: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(check=check, outcome=SKIPPED, what=what, why=why)
