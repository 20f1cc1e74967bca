"""What `occ status` shows on a terminal. Rich is loaded for it alone."""

from rich.box import ROUNDED
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from opencode_cloud.cli import status_rows
from opencode_cloud.cli.options import Options
from opencode_cloud.ops.status import HEALTHY, UNHEALTHY, Status

_STYLES = {
    status_rows.GOOD: "bold green",
    status_rows.BAD: "bold red",
    status_rows.WARNING: "yellow",
    status_rows.PLAIN: "",
}
_BORDERS = {HEALTHY: "green", UNHEALTHY: "red"}


def console(options: Options) -> Console:
    """Give the terminal, with colours if they are wanted."""
    return Console(no_color=not options.color, highlight=False)


def panel(status: Status) -> Panel:
    """Draw it: a frame in the state's colour, and a line between what belongs together."""
    table = Table(box=None, show_header=False, padding=(0, 1), expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for number, section in enumerate(status_rows.sections(status)):
        if number:
            table.add_row()
        for row in section:
            table.add_row(row.name, Text(row.text, style=_STYLES[row.tone]))
    return Panel(
        table,
        box=ROUNDED,
        title=f"[bold]opencode-cloud[/] {status.stack}",
        border_style=_BORDERS.get(status.exit_code, "yellow"),
    )
