"""Asks the session service again and again which sign-ins have ended, while there are streams."""

from collections.abc import Collection
from pathlib import Path

from streams.loop import Loop
from streams.question import Question

PERIOD_SECONDS = 0.5
"""The end of a sign-in shall reach its streams within a second."""
ANSWER_SECONDS = 2.0
PATIENCE_SECONDS = 5.0
"""How long streams go on that nobody vouches for: longer than a restart of the session service."""


class Asker:
    """Times are those of one clock that never goes back, in seconds."""

    def __init__(self, loop: Loop, service: Path) -> None:
        """`service` is the session service's socket."""
        self._loop = loop
        self._service = service
        self._question: Question | None = None
        self._asked = float("-inf")
        self._unanswered_since: float | None = None
        self._problem = ""

    @property
    def is_busy(self) -> bool:
        """Whether there is something to go on with, even without streams."""
        return self._question is not None or self._problem != ""

    def is_away(self, now: float) -> bool:
        """Whether the session service has been silent for too long."""
        since = self._unanswered_since
        return since is not None and now - since >= PATIENCE_SECONDS

    def turn(self, now: float, grants: Collection[bytes]) -> frozenset[bytes]:
        """Go on with asking about `grants`; gives those that turn out to be void."""
        void = self._hear(self._question, now) if self._question else frozenset[bytes]()
        is_due = now >= self._asked + PERIOD_SECONDS
        if is_due and not self._question and (grants or self._problem):
            self._ask(now, grants)
        return void

    def _ask(self, now: float, grants: Collection[bytes]) -> None:
        self._asked = now
        if self._unanswered_since is None:
            self._unanswered_since = now
        self._question = Question(self._loop, self._service, grants)

    def _hear(self, question: Question, now: float) -> frozenset[bytes]:
        if not question.is_over and now >= self._asked + ANSWER_SECONDS:
            question.give_up(f"it did not answer within {ANSWER_SECONDS:g} s")
        if not question.is_over:
            return frozenset()
        self._question = None
        if question.void is None:
            self._complain(question.problem)
            return frozenset()
        self._unanswered_since = None
        if self._problem:
            self._problem = ""
            print("the session service answers again", flush=True)
        return question.void

    def _complain(self, problem: str) -> None:
        if not self._problem:
            print(f"the session service cannot be asked about sign-ins: {problem}", flush=True)
        self._problem = problem
