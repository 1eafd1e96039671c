"""normalgen results."""

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from normalgen.cli.show import note, say
from normalgen.errors import DataError

if TYPE_CHECKING:
    from normalgen.evaluation.table_format import Table

FORMATS = ("md", "csv", "html")


def results(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What normalgen evaluate wrote with --out.")],
    out: Annotated[Path | None, typer.Option(help="Folder of tables, figures and page; default: DIR.")] = None,
    formats: Annotated[str, typer.Option("--format", help="Of md, csv, html; by comma.")] = "md,csv,html",
) -> None:
    """Tables, figures and a page of what normalgen evaluate measured.

    normalgen results evaluation

    Means are over seeds of means over categories, ± their standard deviation; gains are paired, with their 95 %
    bootstrap interval. Unfinished evaluations work, too: * marks what lacks cells that
    others of its data set have.
    """
    wanted = [part.strip() for part in formats.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in FORMATS]
    if unknown or not wanted:
        raise DataError(f"--format takes {', '.join(FORMATS)}, by comma, got {formats!r}")
    from normalgen.evaluation.cells import load_cells
    from normalgen.evaluation.contrasts import gains
    from normalgen.evaluation.tables import main_tables
    from normalgen.report.results_files import write_results

    cells = load_cells(folder)
    for table in [*main_tables(cells, ["image_auroc"]), *gains(cells)[:1]]:
        _show(table)
    if (cells.role == "tuning").any():
        note("settings were chosen on what is marked (tuning); it supports no claim")
    for path in write_results(cells, out or folder, wanted):
        if path.parent.name != "figures":
            say(f"wrote {path}")


def _show(table: "Table") -> None:
    """A table in the terminal; elsewhere as wide as it needs."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Lines
    from rich.text import Text

    lines = Lines(title=table.title, box=box.SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False)
    lines.title_justify, lines.title_style = "left", "bold"
    for index, (group, name) in enumerate(table.heads):
        head = f"{group}\n{name}" if group else name
        lines.add_column(Text(head), justify="left" if index < table.labels else "right")
    for row in table.rows:
        lines.add_row(*(Text(text) for text in row))
    console = Console(highlight=False)
    console.print(lines) if console.is_terminal else Console(width=1000, highlight=False).print(lines)
    for sentence in table.notes:
        say(fill(sentence, 100, initial_indent="  ", subsequent_indent="  "))
    say("")
