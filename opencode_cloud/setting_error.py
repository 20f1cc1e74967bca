"""How a rule of the settings model refuses a value."""

from pydantic_core import PydanticCustomError

NAMESPACE = "opencode"
"""Prefix of every key in a stack's configuration: the Pulumi project's name."""


def wrong(why: str, fix: str) -> PydanticCustomError:
    """Say what is wrong with a setting's value, and what to do."""
    # Braces would be read as placeholders of the message's context.
    return PydanticCustomError("setting", "{why}", {"why": why, "fix": fix})
