"""opencode-cloud: run opencode as a service of your own.

This package is the pure core: values in, text and plain data out. It imports
without Pulumi's engine, and its top level needs the standard library alone, so
that ``./start`` can use it on a machine that has nothing installed yet.
"""

__version__ = "0.1.0"
