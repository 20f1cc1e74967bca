"""The settings in a stack's own file: read, changed and judged as the program would.

``stacks/Pulumi.<stack>.yaml`` is the only place where settings are kept. It is changed
as text, so that comments, order, other packages' keys and encrypted values stay as
they are to the byte; each new text is read again before it may take the old one's place.
"""

import difflib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from opencode_cloud.cloud_settings import Target
from opencode_cloud.configuration import Problem, SettingsError, as_config, load
from opencode_cloud.configuration import default as setting_default
from opencode_cloud.environment import ENV, SECRET
from opencode_cloud.environment import problems as environment_problems
from opencode_cloud.ops.project import setup_command
from opencode_cloud.ops.stack_document import KEY, Document, StackConfigError
from opencode_cloud.settings import ImageSource, Settings
from opencode_cloud.spec.container import container_spec
from opencode_cloud.spec.image import image_spec
from opencode_cloud.spec.service_unit.spec import service_unit_spec

# --- names and values -------------------------------------------------------

_USERS = "users are made by `occ user add NAME`, and kept by the deployment itself"
_VARIABLES = "a variable for opencode is set by `occ env set NAME=VALUE`"
_SECRETS = "a secret for opencode is set by `occ secret set NAME`"
_MOVED = {
    **dict.fromkeys((ENV, "environment"), _VARIABLES),
    **dict.fromkeys((SECRET, "secrets"), _SECRETS),
    "auth_username": _USERS,
    "auth_password": _USERS,
    "users": _USERS,
    "allow_unauthenticated_network": "nothing but /health answers without a login, on any "
    "network; allow_network_exposure allows a bind_address that others can reach",
}
"""Settings that there were in older programs, and what does their work now."""

_ALIASES = {"bind": "bind_address", "mount": "mounts", "opencode_web_port": "port"}
"""Other names that people know settings by."""


def setting_name(given: str) -> str:
    """Give the setting that ``given`` means; dashes and the namespace are optional.

    Raises:
        StackConfigError: there is none of that name; says which one may be meant.
    """
    name = bare_name(given)
    name = _ALIASES.get(name, name)
    if name in Settings.model_fields:
        return name
    word = name.partition(":")[0]
    if word in _MOVED:
        raise StackConfigError(f"{name} is not a setting: {_MOVED[word]}.")
    raise StackConfigError(f"{given!r} is not a setting. {_what_there_is(name)}")


def bare_name(given: str) -> str:
    """Write a key as the settings model would: without namespace, with underscores."""
    match = KEY.fullmatch(given)
    return (match[1] if match else given).strip().lower().replace("-", "_")


def _what_there_is(name: str) -> str:
    known = list(Settings.model_fields)
    words = set(name.split("_"))
    close = difflib.get_close_matches(name, known, n=1) or [
        key for key in known if words & set(key.split("_"))
    ]
    if close:
        return f"Did you mean {' or '.join(close[:3])}?"
    return "`occ config show` lists what there is."


def normalised(name: str, value: str) -> str:
    """Write a boolean or a number in the one way that Pulumi knows; others as they are."""
    return as_config(_typed(name, value))


def _typed(name: str, value: str) -> str | int | bool:
    """Read a value as the type of the setting; what cannot be read is for the model to refuse."""
    field = Settings.model_fields.get(name)
    if not field or field.annotation not in (bool, int):
        return value
    try:
        return TypeAdapter(field.annotation).validate_python(value)
    except ValidationError:
        return value


def default(name: str) -> str | None:
    """Write a setting's default; ``None`` for what is not a setting."""
    field = Settings.model_fields.get(name)
    return as_config(field.default) if field else None


# --- what a change needs ----------------------------------------------------


class Need(StrEnum):
    """What has to be done to a deployment for a change of its settings; the worst is last."""

    NOTHING = "nothing"
    UPDATE = "update"
    """The container goes on running."""
    REPLACE = "replace"
    """Another container takes the place of the one that is there; data stays."""
    DATA = "data"
    """What people made may not be there afterwards: it is left elsewhere, or loses its guard."""


@dataclass(frozen=True)
class Impact:
    """What the next ``pulumi up`` does to a deployment because of a change."""

    need: Need
    meaning: tuple[str, ...]
    """Whole sentences, for people."""


_STAYS = "Users, sessions and data stay."
_MEANING = {
    Need.NOTHING: "Nothing changes in the running deployment.",
    Need.UPDATE: "The running container gets it without an interruption.",
    Need.REPLACE: f"The container is replaced, and away for some seconds. {_STAYS}",
}
REPLACED = Impact(Need.REPLACE, (_MEANING[Need.REPLACE],))
"""What another variable or secret comes to."""


def impact(old: Settings, new: Settings) -> Impact:
    """Say what going from ``old`` to ``new`` does to a deployment that is up."""
    if old.docker_host != new.docker_host:
        return Impact(Need.DATA, (_left_behind(old.docker_host, new.docker_host),))
    # The answer is the same for any name and folder.
    old_image, new_image = (image_spec(settings, "any", Path()) for settings in (old, new))
    old_spec, new_spec = (container_spec(settings, "any") for settings in (old, new))
    # All that the provider changes in a running container.
    resized = replace(
        old_spec,
        memory_mb=new_spec.memory_mb,
        restart=new_spec.restart,
        most_restarts=new_spec.most_restarts,
    )
    old_unit, new_unit = (service_unit_spec(settings, "any") for settings in (old, new))
    need = Need.NOTHING if (old_spec, old_unit) == (new_spec, new_unit) else Need.UPDATE
    if old_image != new_image or resized != new_spec:
        need = Need.REPLACE
    meaning = [_MEANING[need]]
    if old_image != new_image:
        built = new.image_source is ImageSource.BUILD
        meaning.append(f"The image is {'built' if built else 'pulled'} first: that takes minutes.")
    if old.url != new.url:
        meaning.append(f"It then answers at {new.url}, instead of {old.url}.")
    if old.delete_data_on_destroy == new.delete_data_on_destroy:
        return Impact(need, tuple(meaning))
    if new.delete_data_on_destroy:
        meaning.append("`pulumi destroy` deletes users, sessions and data from then on.")
        return Impact(Need.DATA, tuple(meaning))
    meaning.append("`pulumi destroy` keeps users, sessions and data from then on.")
    # Pulumi has to note it, whatever else there is to do.
    return Impact(Need.UPDATE if need is Need.NOTHING else need, tuple(meaning))


def _left_behind(old: str, new: str) -> str:
    return (
        f"Pulumi then looks for the deployment at {new}. Unless that is the same Docker engine, "
        f"it begins there without users and data, and what is at {old} runs on, out of Pulumi's "
        "sight: run `pulumi destroy` before this to take it down (its data stays there)."
    )


# --- changes ----------------------------------------------------------------


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
    known = [problem for problem in _problems(document, stack) if problem.key != name]
    return _change(document, after, stack, known)


def unset(document: Document, stack: str, given: str) -> Change:
    """Judge going back to a setting's default; also removes what is not a setting.

    Raises:
        SettingsError: the others cannot do without it.
        StackConfigError: there is no such setting, or the file cannot be read or changed.
    """
    there = (name for name in (given, bare_name(given)) if name in document.entries)
    after = document.without(next(there, None) or setting_name(given))
    return _change(document, after, stack, _problems(document, stack))


def edited(before: Document, text: str, stack: str) -> Change:
    """Judge a whole new text of the file, in which nothing may be wrong.

    Raises:
        SettingsError: with every problem at once.
        StackConfigError: it cannot be read, or loses what opens the encrypted values.
    """
    after = Document(before.name, text)
    problems = _problems(after, stack)
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
    problems = _problems(after, stack)
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


def _problems(document: Document, stack: str) -> list[Problem]:
    found = _environment_problems(document)
    try:
        load(document.values, stack)
    except SettingsError as error:
        found += [problem for problem in error.problems if problem.key not in document.encrypted]
    return found


def _environment_problems(document: Document) -> list[Problem]:
    said: dict[str, str] = {}
    encrypted: set[str] = set()
    for namespace in (ENV, SECRET):
        there = document.of(namespace)
        said |= {f"{namespace}:{name}": there.said(name) or "" for name in there.entries}
        encrypted |= {f"{namespace}:{name}" for name in there.encrypted}
    return environment_problems(said, encrypted)


# --- what there is ----------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One setting as it stands."""

    key: str
    value: str | int | bool | None
    """``None``: encrypted."""
    source: Literal["stack", "default"]
    default: str | int | bool | None
    """``None``: it is not a setting."""
    description: str


@dataclass(frozen=True)
class Overview:
    """Every setting of one stack, and what is wrong with them."""

    stack: str
    file: str
    settings: list[Row]
    problems: list[Problem]


def overview(document: Document, stack: str) -> Overview:
    """Give every setting of the model, then what else is in the file."""
    unknown = [name for name in document.entries if name not in Settings.model_fields]
    rows = [row(document, name) for name in [*Settings.model_fields, *unknown]]
    return Overview(stack, document.name, rows, _problems(document, stack))


def row(document: Document, name: str) -> Row:
    """Give one setting as it stands."""
    field = Settings.model_fields.get(name)
    target = document.entries.get("target")
    place = target.value if target else Target.LOCAL
    standard = setting_default(name, place) if field else None
    description = field.description or "" if field else "Not a setting."
    entry = document.entries.get(name)
    if not entry:
        return Row(name, standard, "default", standard, description)
    value = None if entry.encrypted else _typed(name, entry.value)
    return Row(name, value, "stack", standard, description)


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


# --- the file ---------------------------------------------------------------

# github.com/pulumi/pulumi: tokens.ParseStackName.
_STACK = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_NEW_MODE = 0o644


@dataclass(frozen=True)
class StackFile:
    """Where the settings of one stack are kept in a checkout."""

    root: Path
    """The checkout."""
    stack: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.root / "stacks" / f"Pulumi.{self.stack}.yaml"

    @property
    def name(self) -> str:
        """The file, for people."""
        return str(self.path.relative_to(self.root))

    def read(self) -> Document:
        """Read the file.

        Raises:
            StackConfigError: there is no such stack, or its file is no text.
        """
        if not _STACK.fullmatch(self.stack):
            raise StackConfigError(
                f"{self.stack!r} cannot be the name of a stack: letters, digits, -, _ and . can."
            )
        try:
            return Document(self.name, self.path.read_bytes().decode())
        except FileNotFoundError:
            raise StackConfigError(self._missing()) from None
        except UnicodeDecodeError as error:
            raise StackConfigError(
                f"{self.name} is not UTF-8 text, at byte {error.start}: save it as such."
            ) from None
        except OSError as error:
            raise StackConfigError(f"{self.path} cannot be read: {error.strerror}.") from None

    def create(self, document: Document) -> None:
        """Make the file of a new stack, whole or not at all.

        Raises:
            StackConfigError: it cannot be written, or is there already.
        """
        try:
            _make(self.path, document.text.encode())
        except FileExistsError:
            raise StackConfigError(
                f"{self.name} was made by somebody else meanwhile, and is left as it is."
            ) from None
        except OSError as error:
            raise StackConfigError(f"{self.path} cannot be written: {error.strerror}.") from None

    def write(self, change: Change) -> None:
        """Put the new text in the place of the old one, whole or not at all.

        Raises:
            StackConfigError: it cannot be written, or is not the one any more that the change
                was judged by.
        """
        # Where a link leads, so that it stays a link.
        path = self.path.resolve()
        try:
            with _locked(path.parent):
                self._check_unchanged(path, change)
                _replace(path, change.after.encode())
        except OSError as error:
            raise StackConfigError(
                f"{path} cannot be written: {error.strerror}. It is as it was."
            ) from None

    def _check_unchanged(self, path: Path, change: Change) -> None:
        if path.read_bytes() != change.before.encode():
            raise StackConfigError(
                f"{self.name} was changed by somebody else meanwhile, and is left as it is now. "
                "Look at it (`occ config show`), and try again."
            )

    def _missing(self) -> str:
        names = (path.name for path in self.path.parent.glob("Pulumi.*.yaml"))
        stacks = sorted(name.removeprefix("Pulumi.").removesuffix(".yaml") for name in names)
        close = difflib.get_close_matches(self.stack, stacks, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There is {', '.join(stacks) or 'none'}."
        return (
            f"There is no {self.name}, where the settings of the stack {self.stack} would be. "
            f"{hint}\n`{setup_command(self.stack)}` makes it, and a deployment of it."
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes of ours from writing into ``folder``."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, _NEW_MODE)
            file.flush()
            os.fsync(descriptor)
        # Unlike a renamed one, a link never takes the place of what is there.
        path.hardlink_to(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    was = path.stat()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, stat.S_IMODE(was.st_mode))
            # Root's alone to do; others own what they write.
            with suppress(PermissionError):
                os.fchown(descriptor, was.st_uid, was.st_gid)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
