"""Options that making backups, now and by schedule, have in common."""

from typing import Annotated

import typer

To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="PLACE",
        help="Folder, or ssh://user@host[:port]/folder (/~/folder: in that user's home).",
        show_default="occ's own folder",
    ),
]
EncryptTo = Annotated[
    list[str] | None,
    typer.Option(
        "--encrypt-to",
        metavar="KEY",
        help="Public key of age or SSH, or a file of them; may be said several times.",
        show_default=False,
    ),
]
Keep = Annotated[
    int | None,
    typer.Option(
        "--keep",
        metavar="NUMBER",
        min=1,
        help="Afterwards, remove this stack's older ones there but so many.",
        show_default=False,
    ),
]
