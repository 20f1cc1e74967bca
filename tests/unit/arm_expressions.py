"""The expressions of Azure's templates: read strictly, and evaluated as the Resource Manager does.

Only what our template uses is known; any other function is an error, so that a wrong name is found.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class ExpressionError(Exception):
    """It is not an expression, or not one that can be evaluated."""


@dataclass(frozen=True)
class Literal:
    """A text or a number."""

    value: str | int


@dataclass(frozen=True)
class Call:
    """A function and what it is given."""

    name: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Property:
    """What stands behind a dot."""

    of: "Node"
    name: str


Node = Literal | Call | Property

_MANY = 99
ARITY: Mapping[str, tuple[int, int]] = {
    "base64": (1, 1),
    "concat": (1, _MANY),
    "contains": (2, 2),
    "empty": (1, 1),
    "if": (3, 3),
    "parameters": (1, 1),
    "reference": (1, 3),
    "replace": (3, 3),
    "resourceGroup": (0, 0),
    "resourceId": (2, _MANY),
    "variables": (1, 1),
}
"""How many arguments each function takes (learn.microsoft.com, ARM template functions)."""

_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(-?\d+)|([A-Za-z_]\w*)|([().,]))")


def is_expression(value: Any) -> bool:
    """Say whether a value of a template is an expression; ``[[`` begins a text."""
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[")


def parse(text: str) -> Node:
    """Read an expression, with its brackets.

    Raises:
        ExpressionError: where it cannot be read, or a function is given too much or too little.
    """
    if not (is_expression(text) and text.endswith("]")):
        raise ExpressionError(f"{text!r} is not in brackets")
    tokens = list(_tokens(text[1:-1]))
    node = _node(tokens)
    if tokens:
        raise ExpressionError(f"{tokens[0]!r} is left over in {text!r}")
    return node


def _tokens(text: str) -> Iterator[str]:
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if not match:
            raise ExpressionError(f"{text[position:]!r} cannot be read")
        yield match[0].strip()
        position = match.end()


def _node(tokens: list[str]) -> Node:
    node = _first(tokens)
    while tokens and tokens[0] == ".":
        tokens.pop(0)
        node = Property(node, _next(tokens))
    return node


def _first(tokens: list[str]) -> Node:
    token = _next(tokens)
    if token.startswith("'"):
        return Literal(token[1:-1].replace("''", "'"))
    if token.lstrip("-").isdecimal():
        return Literal(int(token))
    if token not in ARITY:
        raise ExpressionError(f"{token!r} is no function that is known")
    call = Call(token, tuple(_arguments(tokens)))
    least, most = ARITY[token]
    if not least <= len(call.arguments) <= most:
        raise ExpressionError(f"{token} is given {len(call.arguments)} arguments")
    return call


def _arguments(tokens: list[str]) -> Iterator[Node]:
    _expect(tokens, "(")
    if tokens and tokens[0] == ")":
        tokens.pop(0)
        return
    yield _node(tokens)
    while (separator := _next(tokens)) == ",":
        yield _node(tokens)
    if separator != ")":
        raise ExpressionError(f"{separator!r} stands where a bracket has to be closed")


def _expect(tokens: list[str], wanted: str) -> None:
    if (found := _next(tokens)) != wanted:
        raise ExpressionError(f"{found!r} stands where {wanted!r} has to")


def _next(tokens: list[str]) -> str:
    if not tokens:
        raise ExpressionError("it ends too early")
    return tokens.pop(0)


def calls(node: Node) -> Iterator[Call]:
    """Give every call in an expression, the outer ones first."""
    match node:
        case Call(_, arguments):
            yield node
            for argument in arguments:
                yield from calls(argument)
        case Property(of, _):
            yield from calls(of)
        case Literal():
            return


def evaluate(value: Any, template: Mapping[str, Any], given: Mapping[str, Any], made: Any) -> Any:
    """Give a template's value as the Resource Manager does.

    Args:
        value: any value of it; expressions within are evaluated.
        template: whose parameters' defaults and variables are used.
        given: the parameters that somebody said.
        made: by resource id, what ``reference()`` finds.
    """

    def known(name: str) -> Any:
        default = template["parameters"][name].get("defaultValue")
        return given[name] if name in given else recur(default)

    def recur(inner: Any) -> Any:
        return evaluate(inner, template, given, made)

    functions = {
        "base64": lambda text: base64.b64encode(text.encode()).decode(),
        "concat": lambda *texts: "".join(texts),
        "contains": lambda container, item: item in container,
        "empty": lambda text: not text,
        "if": lambda condition, yes, no: yes if condition else no,
        "parameters": known,
        "reference": lambda identifier, *_: made[identifier],
        "replace": lambda text, old, new: text.replace(old, new),
        "resourceGroup": lambda: {"name": "group", "location": "westeurope"},
        "resourceId": lambda kind, *names: f"{kind}:{'/'.join(names)}",
        "variables": lambda name: recur(template["variables"][name]),
    }

    def value_of(node: Node) -> Any:
        match node:
            case Literal(literal):
                return literal
            case Property(of, name):
                return value_of(of)[name]
            case Call(name, arguments):
                return functions[name](*map(value_of, arguments))

    if isinstance(value, dict):
        return {key: recur(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [recur(inner) for inner in value]
    return value_of(parse(value)) if is_expression(value) else value
