"""What a rented machine is told after its first boot: an archive, over SSH.

``COMMAND`` takes it, as text, on its standard input, and brings the machine to what it says by the
steps of the first boot. Everything that the machine is to be is in it, and so are the values of
the secrets: it belongs on that standard input, and in no file, argument or log.
"""

import base64
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from opencode_cloud.spec.image import BuiltImage
from opencode_cloud.spec.machine import CONF, File, Machine

COMMAND = "base64 -d | sudo opencode-cloud-apply -"
"""What to run on the machine, as `SSH_USER`. Ends with 0 when all is applied, and prints what was
done; nothing that it prints is secret."""

END = File("/end", "")
"""The last one says that the archive is whole."""
BUILD = "/var/lib/opencode-cloud/build"


def bundle(
    described: Machine,
    secrets: Mapping[str, str],
    image: BuiltImage | None = None,
) -> tuple[File, ...]:
    """Give every file of the machine.

    Args:
        described: the machine.
        secrets: the value of each secret.
        image: one to build there; its folder is read.
    """
    kept = (File(f"{CONF}/secrets/{name}", value, 0o600) for name, value in secrets.items())
    return (*described.files, *kept, *(_build(image) if image else ()))


def _build(image: BuiltImage) -> list[File]:
    context = image.project / image.context
    files = [File(f"{BUILD}/image", f"{image.reference}\n")]
    files += [File(f"{BUILD}/args/{name}", value) for name, value in image.build_args.items()]
    for path in sorted(context.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files.append(_context_file(path, context))
    return files


def _context_file(path: Path, context: Path) -> File:
    mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    place = f"{BUILD}/context/{path.relative_to(context).as_posix()}"
    # What is no text survives as well.
    return File(place, path.read_bytes().decode(errors="surrogateescape"), mode)


def encoded(files: Iterable[File]) -> str:
    """Write files as ``COMMAND`` takes them."""
    return base64.b64encode(packed([*files, END])).decode()


def packed(files: Iterable[File]) -> bytes:
    """Pack files into a tar archive; the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            content = file.content.encode(errors="surrogateescape")
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size = len(content)
            entry.mode = file.mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
