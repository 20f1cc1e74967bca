"""The kinds of stack: each module composes the components of one target."""
