"""The plain variables of a stack, in its file; and what they share with its secrets there."""

import difflib
from collections.abc import Iterable, Mapping

from opencode_cloud.environment import (
    ENV,
    MOST_BYTES_TOGETHER,
    SECRET,
    Environment,
    looks_secret,
    refusal,
    value_refusal,
)
from opencode_cloud.ops.errors import OperationError
from opencode_cloud.ops.impact import REPLACED
from opencode_cloud.ops.stack_change import Change, differences
from opencode_cloud.ops.stack_document import Document


def pair(argument: str) -> tuple[str, str]:
    """Take NAME=VALUE apart.

    Raises:
        OperationError: it is not written so.
    """
    name, is_pair, value = argument.partition("=")
    if not is_pair:
        raise OperationError(
            f"{argument!r} names no value. Write it as NAME=VALUE; a value of nothing as NAME="
        )
    return name, value


def variables(document: Document) -> dict[str, str]:
    """Give every plain variable, as opencode gets it."""
    return dict(sorted(document.of(ENV).values.items()))


def environment_in(document: Document) -> Environment:
    """Give all that a stack's file says of opencode's environment; of secrets, their names."""
    return Environment(
        variables=variables(document),
        secrets=tuple(sorted(document.of(SECRET).entries)),
    )


def secret_like(names: Iterable[str]) -> list[str]:
    """Give those names that are most likely a key's or a password's."""
    return [name for name in names if looks_secret(name)]


def set_variables(document: Document, values: Mapping[str, str]) -> Change:
    """Judge giving variables these values.

    Raises:
        OperationError: a name or a value cannot be a variable's.
        StackConfigError: the file cannot be read or changed.
    """
    there = document.of(ENV)
    for name, value in values.items():
        check_name(name, ENV, document)
        if why := value_refusal(value):
            raise OperationError(f"The value of {name} {why}.")
        there = there.with_value(name, value)
    return change(document, there)


def remove(document: Document, namespace: str, names: Iterable[str]) -> Change:
    """Judge removing variables, or secrets.

    Raises:
        OperationError: there is no such one.
        StackConfigError: the file cannot be read or changed.
    """
    there = document.of(namespace)
    for name in names:
        if name not in there.entries:
            raise OperationError(_missing(name, namespace, document))
        there = there.without(name)
    return change(document, there)


def check_name(name: str, namespace: str, document: Document) -> None:
    """Refuse a name that cannot be used in `namespace`.

    Raises:
        OperationError: with why, and what to do.
    """
    if why := refusal(name):
        raise OperationError(f"{name} {why}. Nothing was changed.")
    other = SECRET if namespace == ENV else ENV
    if name in document.of(other).entries:
        kind = "a secret" if other == SECRET else "a plain variable"
        raise OperationError(
            f"{name} is {kind} of this stack already, and cannot be both. "
            f"Remove that first: occ {other} remove {name}"
        )


def change(before: Document, after: Document) -> Change:
    """Say what going from one text of the file to another means.

    Raises:
        OperationError: all variables and secrets together are too long.
    """
    size = sum(_size(after.of(namespace)) for namespace in (ENV, SECRET))
    if size > MOST_BYTES_TOGETHER:
        raise OperationError(
            f"All variables and secrets together would have {size // 1024} KiB, and can have "
            f"{MOST_BYTES_TOGETHER // 1024} KiB. Have opencode read the longest from a file in "
            "its workspace instead. Nothing was changed."
        )
    found = tuple(differences(before.of(after.namespace), after))
    return Change(before.text, after.text, found, REPLACED, ())


def _size(document: Document) -> int:
    """Give about as many bytes as the values have; ciphertext is base64."""
    plain = sum(len(value.encode()) for value in document.values.values())
    text = document.text
    hidden = (entry for entry in document.entries.values() if entry.encrypted)
    marks = (
        (entry.value_node.start_mark.index, entry.value_node.end_mark.index) for entry in hidden
    )
    return plain + sum(len(text[start:end].strip()) * 3 // 4 for start, end in marks)


def _missing(name: str, namespace: str, document: Document) -> str:
    noun = "variable" if namespace == ENV else "secret"
    other = SECRET if namespace == ENV else ENV
    if name in document.of(other).entries:
        return f"{name} is set by `occ {other}`: occ {other} remove {name}"
    text = f"There is no {noun} {name} in {document.name}."
    close = difflib.get_close_matches(name, document.of(namespace).entries, n=1)
    return f"{text} Did you mean {close[0]}?" if close else f"{text} See: occ {namespace} list"
