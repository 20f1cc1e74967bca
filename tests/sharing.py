"""Several runs side by side share the tests: each takes a file at a time, until none is left."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import cast

import pytest
from _pytest.nodes import Node


class Upcoming:
    """The test after one that runs, chosen only when pytest asks for it: when that one has run.

    Chosen sooner, the next file would wait for this one's last test, while another run is idle.
    """

    def __init__(self, items: Iterator[pytest.Item]) -> None:
        self._items = items

    @cached_property
    def item(self) -> pytest.Item | None:
        """The test; None when there is no more."""
        return next(self._items, None)

    def __bool__(self) -> bool:
        return self.item is not None

    def listchain(self) -> list[Node]:
        """Give what it is part of, all of which pytest keeps set up."""
        return self.item.listchain() if self.item else []


class Sharing:
    """One of the runs."""

    def __init__(self, folder: Path, leave: Callable[[pytest.Item], None]) -> None:
        """`folder` is the runs' own, to note there what is taken; `leave` gets what others took."""
        self._folder = folder
        self._leave = leave

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run what nobody else has taken, in the order in which it was collected."""
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        items = self._own(session.items)
        item = next(items, None)
        while item:
            upcoming = Upcoming(items)
            session.config.hook.pytest_runtest_protocol(
                item=item, nextitem=cast("pytest.Item", upcoming)
            )
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            item = upcoming.item
        return True

    def _own(self, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        taken: dict[Path, bool] = {}
        for item in items:
            if item.path not in taken:
                taken[item.path] = self._take(item)
            if taken[item.path]:
                yield item
            else:
                self._leave(item)

    def _take(self, item: pytest.Item) -> bool:
        name = item.nodeid.partition("::")[0].replace("/", "+")
        try:
            (self._folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
