"""A new container while Pulumi waits for it: one that never will answer is given up early.

Pulumi waits two minutes for every container, which a slow machine needs. For one whose opencode
ends again and again, that is two minutes in which nobody is served.
"""

import re
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

from opencode_cloud.ops import logs
from opencode_cloud.ops.deployment import Deployment, find
from opencode_cloud.ops.docker_engine import Engine
from opencode_cloud.ops.errors import OperationError

HOPELESS_ENDS = 5
"""So many ends of opencode, or starts of the container, without one good answer."""
_LOOK_EVERY_SECONDS = 1
_ENDED = re.compile(r"opencode +\| ended (with|by) ")


def verdict(facts: dict[str, Any], lines: list[str]) -> str:
    """Say why a container will never answer; empty as long as it may."""
    if (facts["State"].get("Health") or {}).get("Status") == "healthy":
        return ""
    if facts["RestartCount"] >= HOPELESS_ENDS:
        return f"its container ended {facts['RestartCount']} times right after its start"
    ends = sum(_ENDED.match(line) is not None for line in lines)
    return f"opencode ended {ends} times right after its start" if ends >= HOPELESS_ENDS else ""


class GivingUp:
    """Watches for a stack's new container, and removes it when it is hopeless.

    Pulumi's waiting then ends at once, as a failure.
    """

    def __init__(self, stack: str, engine: Engine, old: str) -> None:
        """`old` is the id of the container that is not meant."""
        self._stack, self._engine, self._old = stack, engine, old
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.reason = ""
        """Why it was given up, with its last lines; empty when it was not."""

    def __enter__(self) -> "GivingUp":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self.reason and not self._end.wait(_LOOK_EVERY_SECONDS):
            # It may be gone, or be made just now.
            with suppress(OperationError):
                self._look()

    def _look(self) -> None:
        there = find(self._stack, self._engine)
        if there.container == self._old:
            return
        lines = last_lines(there)
        if why := verdict(there.facts, lines):
            self.reason = "\n".join([f"{why}. The last lines that matter:", *told(lines)])
            self._engine.delete(f"/containers/{there.container}", force="true")


def last_lines(deployment: Deployment) -> list[str]:
    """Give what a container printed, as far as it can be had."""
    with suppress(OperationError):
        return [line.text for line in logs.read(deployment, logs.Wanted(count=500))]
    return []


def told(lines: list[str]) -> list[str]:
    """Choose the lines that tell why, each once; for the end of a message."""
    return [f"    {line}" for line in dict.fromkeys(logs.that_matter(lines))]
