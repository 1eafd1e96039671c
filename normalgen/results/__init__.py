"""What many evaluations say together: means over seeds, paired gains, tables, figures, a page.

folder of cells -> load_cells -> list[Cell] -> every_table -> Table -> Markdown, CSV, page
                                            -> every_figure -> SVG
"""

from normalgen.results.cells import Cell, load_cells
from normalgen.results.contrasts import gains
from normalgen.results.layout import Table
from normalgen.results.stats import Gain, Mean, Worth, gain, means, worth
from normalgen.results.tables import every_table, main_tables
from normalgen.results.write import write_results

__all__ = [
    "Cell",
    "Gain",
    "Mean",
    "Table",
    "Worth",
    "every_table",
    "gain",
    "gains",
    "load_cells",
    "main_tables",
    "means",
    "worth",
    "write_results",
]
