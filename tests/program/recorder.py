"""A stand-in for the engine that keeps what a program asks it to register."""

import asyncio
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

Answers = Mapping[str, Mapping[str, Any]]

_LOOP = asyncio.new_event_loop()


class _Echo(Mocks):
    def __init__(self, lookups: Answers, computed: Answers) -> None:
        self.lookups, self.computed = lookups, computed
        self.asked: dict[str, list[dict[Any, Any]]] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        computed = {"imageId": "sha256:1", "repoDigest": "repository@sha256:2"}
        added: dict[str, Any] = {
            key: value(args.inputs) if callable(value) else value
            for key, value in self.computed.get(args.typ, {}).items()
        }
        name = added.pop("id", f"{args.name}-id")
        return name, {**computed, **added, **args.inputs}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        self.asked.setdefault(args.token, []).append(args.args)
        if args.token in self.lookups:
            return {**args.args, **self.lookups[args.token]}, []
        message = f"the program looked something up: {args.token}"
        raise AssertionError(message)


class Recorder(MockMonitor):
    """Keeps every registration: parent, options and inputs as sent to the engine."""

    def __init__(self, lookups: Answers | None = None, computed: Answers | None = None) -> None:
        """Answer each lookup, by its token; another fails the test.

        Args:
            lookups: the answers.
            computed: what a provider adds to resources, by their type; as values, or as functions
                of the inputs.
        """
        echo = _Echo(lookups or {}, computed or {})
        super().__init__(echo)
        self.asked = echo.asked
        self._exported: dict[str, pulumi.Output[Any]] = {}
        self.sent: dict[tuple[str, str], Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        self.sent[request.type, request.name] = request
        return super().RegisterResource(request)

    def exports(self) -> dict[str, Any]:
        """Outputs of the whole stack, as plain values."""
        return {name: self._plain(output) for name, output in self._exported.items()}

    def secret_exports(self) -> set[str]:
        """Names of those that the engine encrypts."""
        return {
            name
            for name, output in self._exported.items()
            if _LOOP.run_until_complete(output.is_secret())
        }

    def _plain(self, output: pulumi.Output[Any]) -> Any:
        return _LOOP.run_until_complete(output.future())

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

        # Pulumi keeps one for the whole process, with what the run before exported.
        before: Any = pulumi.runtime.get_root_resource()
        if before is not None:
            before.outputs.clear()

        def program() -> None:
            runpy.run_path(str(root / "__main__.py"), run_name="__main__")

        pulumi.runtime.test(program)()
        root_resource: Any = pulumi.runtime.get_root_resource()
        self._exported = {
            name: pulumi.Output.from_input(value) for name, value in root_resource.outputs.items()
        }
        return self
