"""A stand-in for the engine that keeps what a program asks it to register."""

import asyncio
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

_LOOP = asyncio.new_event_loop()


class _Echo(Mocks):
    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        computed = {"imageId": "sha256:1", "repoDigest": "repository@sha256:2"}
        return f"{args.name}-id", {**computed, **args.inputs}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        message = f"the program looked something up: {args.token}"
        raise AssertionError(message)


class Recorder(MockMonitor):
    """Keeps every registration: parent, options and inputs as sent to the engine."""

    def __init__(self) -> None:
        super().__init__(_Echo())
        self.sent: dict[tuple[str, str], Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        self.sent[request.type, request.name] = request
        return super().RegisterResource(request)

    def inputs(self, kind: str, name: str) -> dict[str, Any]:
        """Inputs of one resource, as plain values."""
        return pulumi.runtime.rpc.deserialize_properties(self.sent[kind, name].object)

    def all_inputs(self) -> list[dict[str, Any]]:
        """Inputs of every resource."""
        return [self.inputs(kind, name) for kind, name in self.sent]

    def urns(self) -> list[str]:
        """Identity of every resource, sorted."""
        return sorted(self.get_registered_resources())

    def run(
        self, root: Path, stack: str, config: dict[str, str], encrypted: Sequence[str] = ()
    ) -> "Recorder":
        """Run the whole program for ``stack`` and wait for all it registers.

        Args:
            root: of the program.
            stack: its name.
            config: its whole configuration.
            encrypted: those keys of it that are encrypted in the stack's file.
        """
        # Pulumi takes the thread's event loop, and other tests take theirs away.
        asyncio.set_event_loop(_LOOP)
        pulumi.runtime.set_mocks(
            self.mocks, project="opencode", stack=stack, monitor=self, preview=False
        )
        pulumi.runtime.set_all_config(config, list(encrypted))

        def program() -> None:
            runpy.run_path(str(root / "__main__.py"), run_name="__main__")

        pulumi.runtime.test(program)()
        return self
