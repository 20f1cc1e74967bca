"""No silent gap: a skipped test, or a layer in which nothing ran, fails the run."""

from pathlib import Path

import pytest


class Honest:
    """Counts what really ran."""

    def __init__(self, layers: set[str]) -> None:
        self.idle = layers
        self.skipped: list[str] = []

    def leave(self, item: pytest.Item) -> None:
        """Trust another run with a test: it fails for what it leaves out itself."""
        self._note(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note each test that ran, and each that did not."""
        if report.skipped:
            self.skipped.append(report.nodeid)
        elif report.when == "call":
            self._note(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run for what was left out."""
        if session.exitstatus == pytest.ExitCode.OK and (self.skipped or self.idle):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was left out."""
        for nodeid in self.skipped:
            terminalreporter.line(f"SKIPPED, which counts as failed: {nodeid}", red=True)
        for layer in sorted(self.idle):
            terminalreporter.line(f"NOTHING RAN in tests/{layer}, which counts as failed", red=True)

    def _note(self, nodeid: str) -> None:
        self.idle.discard(Path(nodeid).parts[1])


def layers_asked_for(config: pytest.Config) -> set[str]:
    """Give the layers that are named as whole folders on the command line."""
    paths = [Path(argument.rstrip("/")) for argument in config.args]
    return {path.name for path in paths if path.is_dir() and path.parent.name == "tests"}
