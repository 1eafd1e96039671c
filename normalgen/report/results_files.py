"""Writes cells as results.md, results.csv, figures/ and results.html; the same cells give the same bytes."""

from collections.abc import Container
from pathlib import Path

from normalgen.evaluation.cells import Frame
from normalgen.evaluation.figures import Drawing, every_figure
from normalgen.evaluation.table_format import Table, as_csv, as_markdown, escaped
from normalgen.evaluation.tables import every_table
from normalgen.io.atomic import write_whole
from normalgen.io.paths import STALE, sweep
from normalgen.report.results_page import page, run_facts

__all__ = ["write_results"]

TITLE = "normalgen: results"


def write_results(cells: Frame, folder: Path, formats: Container[str]) -> list[Path]:
    """Write tables and figures into `folder`.

    Args:
        cells: at least one cell.
        folder: created if missing; files of the same names are replaced.
        formats: any of "md", "csv" and "html"; md and html also write the figures.

    Returns:
        The paths of the written files.
    """
    tables = every_table(cells)
    texts: dict[str, str] = {}
    drawings = every_figure(cells) if "md" in formats or "html" in formats else []
    if "md" in formats:
        texts["results.md"] = _markdown(cells, tables, drawings)
    if "csv" in formats:
        texts["results.csv"] = as_csv(tables)
    texts |= {f"figures/{drawing.name}.svg": drawing.svg for drawing in drawings}
    if "html" in formats:
        texts["results.html"] = page(TITLE, cells, tables, drawings)
    for held in (folder, folder / "figures"):
        sweep(held, deep=False, older=STALE)
    for name, text in texts.items():
        _write(folder / name, text)
    return [folder / name for name in texts]


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8", newline="\n"))


def _markdown(cells: Frame, tables: list[Table], drawings: list[Drawing]) -> str:
    facts = "\n".join(f"- {name}: {escaped(value)}" for name, value in run_facts(cells))
    pictures = "".join(f"\n![{escaped(drawing.title)}](figures/{drawing.name}.svg)\n" for drawing in drawings)
    figures = [f"## Figures\n{pictures}"] if drawings else []
    return "\n".join([f"# {TITLE}\n\n{facts}\n", *(as_markdown(table) for table in tables), *figures])
