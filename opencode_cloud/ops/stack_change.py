"""Changes of a stack's file, judged as the program would before they are made.

It is changed as text, so that comments, order, other packages' keys and encrypted values stay as
they are to the byte; each new text is read again before it may take the old one's place.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from opencode_cloud.configuration import Problem, SettingsError, load
from opencode_cloud.environment import ENV, SECRET
from opencode_cloud.environment import problems as environment_problems
from opencode_cloud.ops.impact import REPLACED, Impact, Need, impact
from opencode_cloud.ops.setting_names import bare_name, normalised, setting_name
from opencode_cloud.ops.stack_document import Document, StackConfigError
from opencode_cloud.settings import Settings


@dataclass(frozen=True)
class Difference:
    """One setting that a change makes another."""

    key: str
    old: str | None
    """``None``: the default, as the file does not name it; encrypted ones are "(secret)"."""
    new: str | None


@dataclass(frozen=True)
class Change:
    """A change of a stack's file that may be made, with all that there is to say of it."""

    before: str
    after: str
    """Texts of the file."""
    differences: tuple[Difference, ...]
    impact: Impact | None
    """``None``: it cannot be told, because the settings before or after cannot be used or read."""
    problems: tuple[Problem, ...]
    """Those that were there before, and still are."""

    @property
    def is_none(self) -> bool:
        """Whether the file says so already."""
        return self.before == self.after

    @property
    def need(self) -> Need:
        """What has to be done; where that cannot be told, what is most likely."""
        return self.impact.need if self.impact else Need.REPLACE

    @property
    def can_be_applied(self) -> bool:
        """Whether there is something to do for ``pulumi up``, and nothing in its way."""
        return not self.is_none and self.need is not Need.NOTHING and not self.problems


def set_value(document: Document, stack: str, name: str, value: str) -> Change:
    """Judge giving the setting ``name`` a value.

    A file with other problems may be put right one setting at a time: only what
    this value makes wrong is refused.

    Raises:
        SettingsError: the value cannot be used.
        StackConfigError: the file cannot be read or changed.
    """
    if not value.isprintable():
        why, fix = "holds a character that cannot be printed", "write it without"
        raise SettingsError(stack, [Problem(name, value, why, fix)])
    after = document.with_value(name, normalised(name, value))
    known = [problem for problem in problems_of(document, stack) if problem.key != name]
    return _change(document, after, stack, known)


def unset(document: Document, stack: str, given: str) -> Change:
    """Judge going back to a setting's default; also removes what is not a setting.

    Raises:
        SettingsError: the others cannot do without it.
        StackConfigError: there is no such setting, or the file cannot be read or changed.
    """
    there = (name for name in (given, bare_name(given)) if name in document.entries)
    after = document.without(next(there, None) or setting_name(given))
    return _change(document, after, stack, problems_of(document, stack))


def edited(before: Document, text: str, stack: str) -> Change:
    """Judge a whole new text of the file, in which nothing may be wrong.

    Raises:
        SettingsError: with every problem at once.
        StackConfigError: it cannot be read, or loses what opens the encrypted values.
    """
    after = Document(before.name, text)
    problems = problems_of(after, stack)
    if problems:
        raise SettingsError(stack, problems)
    try:
        was, will_be, _ = before.elsewhere, after.elsewhere, before.entries
    except StackConfigError:
        # What could not be read is being put right.
        return Change(before.text, text, (), None, ())
    disturbed = sorted(key for key in was | will_be if was.get(key) != will_be.get(key))
    if disturbed:
        raise StackConfigError(
            f"{before.name}: {', '.join(disturbed)} must stay as it is: Pulumi wrote it, "
            "and opens encrypted values with it. Change what is below `config:` alone."
        )
    return _change(before, after, stack)


def _change(
    before: Document, after: Document, stack: str, known: Collection[Problem] = ()
) -> Change:
    problems = problems_of(after, stack)
    if fresh := [problem for problem in problems if problem not in known]:
        raise SettingsError(stack, fresh)
    differences = tuple(_differences(before, after))
    old, new = _settings(before, stack), _settings(after, stack)
    needed = impact(old, new) if old and new else None
    if needed and needed.need in (Need.NOTHING, Need.UPDATE) and _gives_another(before, after):
        needed = REPLACED
    return Change(before.text, after.text, differences, needed, tuple(problems))


def _gives_another(before: Document, after: Document) -> bool:
    """Whether opencode's environment is another."""
    return any(before.of(each).whole != after.of(each).whole for each in (ENV, SECRET))


def _differences(before: Document, after: Document) -> Iterator[Difference]:
    for name in {**before.entries, **after.entries}:
        old, new = before.said(name), after.said(name)
        if old != new:
            yield Difference(name, old, new)
    for namespace in (ENV, SECRET):
        yield from differences(before.of(namespace), after.of(namespace))


def differences(before: Document, after: Document) -> Iterator[Difference]:
    """Say what is another in a namespace that is not the settings' own."""
    was, is_now = before.whole, after.whole
    for name in {**was, **is_now}:
        if was.get(name) != is_now.get(name):
            key = f"{before.namespace}:{name}"
            yield Difference(key, before.said(name), after.said(name))


def _settings(document: Document, stack: str) -> Settings | None:
    if document.encrypted:
        return None
    try:
        return load(document.values, stack)
    except SettingsError:
        return None


def problems_of(document: Document, stack: str) -> list[Problem]:
    """Give all that is wrong with a stack's file."""
    found = _in_environment(document)
    try:
        load(document.values, stack)
    except SettingsError as error:
        found += [problem for problem in error.problems if problem.key not in document.encrypted]
    return found


def _in_environment(document: Document) -> list[Problem]:
    said: dict[str, str] = {}
    encrypted: set[str] = set()
    for namespace in (ENV, SECRET):
        there = document.of(namespace)
        said |= {f"{namespace}:{name}": there.said(name) or "" for name in there.entries}
        encrypted |= {f"{namespace}:{name}" for name in there.encrypted}
    return environment_problems(said, encrypted)


@dataclass(frozen=True)
class Written:
    """What was changed in a stack's file, and what follows of it."""

    stack: str
    file: str
    differences: tuple[Difference, ...]
    impact: Impact | None
    """``None``: it cannot be told."""
    next: str | None
    """The command that applies it; ``None``: there is nothing to apply."""
