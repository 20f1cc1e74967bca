"""Settings for one time: a copy of the stack's file, gone afterwards."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from opencode_cloud.ops.program import Program
from opencode_cloud.ops.settings_file import StackFile
from opencode_cloud.ops.stack_change import set_value


@contextmanager
def config_with(program: Program, settings: Mapping[str, str]) -> Iterator[Path]:
    """Give a file like the stack's, in which `settings` have other values; for `Program.up`.

    It has all else that the stack's file has, such as what opens encrypted values, and nobody
    else can read it.

    Raises:
        SettingsError: a value cannot be used.
        StackConfigError: the stack's file cannot be read, or changed.
    """
    document = file = StackFile(program.paths.root, program.stack).read()
    for name, value in settings.items():
        text = set_value(document, program.stack, name, value).after
        document = type(file)(file.name, text)
    # A folder of its own, with mode 0700, in which the file has the name that Pulumi knows.
    with tempfile.TemporaryDirectory(prefix="occ-") as folder:
        copy = Path(folder) / program.file.name
        copy.touch(mode=0o600)
        copy.write_bytes(document.text.encode())
        yield copy
