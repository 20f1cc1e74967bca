"""The one root of the errors that a person is meant to read."""


class OpencodeCloudError(Exception):
    """Says what was wrong, where, and what to do next; shown without a traceback."""
