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
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out folder of normalgen evaluate.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the tables, figures and page; default: DIR.")] = None,
    formats: Annotated[str, typer.Option("--format", help="Any of md, csv, html; comma-separated.")] = "md,csv,html",
) -> None:
    """Print and write tables, figures and a page from what normalgen evaluate measured.

    normalgen results evaluation

    Each value is the mean over categories, then over seeds, ± the standard
    deviation over seeds. Gains are paired, with their 95 % bootstrap interval. It
    also works on unfinished evaluations: * marks rows that lack cells which other
    rows of the same data set have.
    """
    wanted = [part.strip() for part in formats.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in FORMATS]
    if unknown or not wanted:
        raise DataError(f"--format takes any of {', '.join(FORMATS)}, comma-separated, got {formats!r}")
    from normalgen.evaluation.cells import load_cells
    from normalgen.evaluation.contrasts import gains
    from normalgen.evaluation.tables import main_tables
    from normalgen.report.results_files import write_results

    cells = load_cells(folder)
    for table in [*main_tables(cells, ["image_auroc"]), *gains(cells)[:1]]:
        _show(table)
    if (cells.role == "tuning").any():
        note("settings were chosen on the rows marked (tuning); they support no claim")
    for path in write_results(cells, out or folder, wanted):
        if path.parent.name != "figures":
            say(f"wrote {path}")


def _show(table: "Table") -> None:
    """Print a table: as wide as the terminal, or as wide as it needs if the output is no terminal."""
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
