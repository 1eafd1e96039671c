"""results.html: tables, figures and the command that was run, in one self-contained page."""

import re
import shlex
from collections.abc import Iterable
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from normalgen.evaluation.cells import Frame, arm_rank
from normalgen.evaluation.figures import COLOURS, Drawing
from normalgen.evaluation.paper_numbers import MARK
from normalgen.evaluation.table_format import Table, set_name, span
from normalgen.settings.presets import PRESETS

__all__ = ["page", "run_facts"]

HERE = Path(__file__).parent
STYLES = (HERE / "page.css", HERE / "results.css")
SHOWN = 8
FIGURES = ' class="figures"'
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, cells: Frame, tables: list[Table], drawings: list[Drawing]) -> str:
    """Return the page as HTML, for light and dark mode; the same arguments give the same page.

    Args:
        title: title of the page.
        cells: the measured cells.
        tables: in the order shown.
        drawings: shown after the tables of gains, or first if there are none.
    """
    style = "\n".join(path.read_text(encoding="utf-8") for path in STYLES)
    parts = [(f"t{index}", table.title, _table(table)) for index, table in enumerate(tables)]
    after = max((index for index, table in enumerate(tables) if table.name == "gains"), default=-1) + 1
    if drawings:
        parts.insert(after, ("figures", "Figures", "".join(map(_figure, drawings))))
    parts.append(("run", "What was run", _run(cells)))
    links = "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in parts)
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in run_facts(cells))
    sections = "".join(
        f'<section id="{name}"{FIGURES if name == "figures" else ""}><h2>{escape(heading)}</h2>\n{inside}</section>\n'
        for name, heading, inside in parts
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header class="top"><div class="words"><h1>{escape(title)}</h1>\n<dl class="facts">{facts}</dl>\n'
        f'<nav aria-label="tables">{links}</nav></div></header>\n<main>\n{sections}</main>\n</body>\n</html>\n'
    )


def run_facts(cells: Frame) -> list[tuple[str, str]]:
    """Return the extent of the measurements, as names and values."""
    sets = sorted({set_name(*which) for which in zip(cells.dataset, cells.role, strict=True)})
    seeds = sorted(set(cells.seed))
    tested = [
        f"{name} {span(own['counts.normal'])} + {span(own['counts.anomalous'])}"
        for name, own in cells[~cells.arm.str.contains("poison")].groupby("dataset")
    ]
    return [
        ("cells", str(len(cells))),
        ("data sets", ", ".join(sets)),
        ("k", _listed(cells.k, ", ")),
        ("seeds", span(seeds) if len(seeds) == seeds[-1] - seeds[0] + 1 else _listed(seeds, ", ")),
        ("detectors", _listed(cells.detector, ", ")),
        ("arms", ", ".join(sorted(set(cells.arm), key=arm_rank))),
        ("tested, normal + anomalous", ", ".join(tested)),
    ]


def command(cells: Frame) -> str:
    """Return a command that measures these cells; it lacks the data folder and changed settings."""
    words = ["--dataset", _listed(cells.dataset), "--detectors", _listed(cells.detector)]
    words += ["--arms", ",".join(sorted(set(cells.arm), key=arm_rank)), "--shots", _listed(cells.k)]
    words += ["--seeds", str(cells.seed.max() + 1)]
    for option, name in (("-n", "n"), ("--tests", "tests")):
        value = _agreed(cells, name)
        words += [option, value] if value not in (None, "0", "None") else []
    preset, steps = _agreed(cells, "preset.name"), _agreed(cells, "preset.train.steps")
    usual = str(PRESETS[preset or "tiny"].train.steps) if (preset or "tiny") in PRESETS else steps
    words += ["--preset", preset] if preset not in (None, "tiny") else []
    words += ["--training-steps", steps] if preset and steps not in (None, usual) else []
    return shlex.join(["normalgen", "evaluate", *words])


def _listed(values: Iterable[Any], between: str = ",") -> str:
    return between.join(map(str, sorted(set(values))))


def _agreed(cells: Frame, name: str) -> str | None:
    """Return the value of a setting if all cells share it, else None."""
    values = set(cells.get(f"settings.{name}", [None]))
    return values.pop() if len(values) == 1 else None


def settings(cells: Frame) -> dict[str, list[str]]:
    """Return every setting with its values, and the versions; nested names look like "preset.size"."""
    names = sorted(name.removeprefix("settings.") for name in cells if name.startswith("settings."))
    return {name: sorted(set(cells[f"settings.{name}"].dropna())) for name in names}


def _run(cells: Frame) -> str:
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(name)}</th><td class="text">{escape(_values(values))}</td></tr>'
        for name, values in settings(cells).items()
    )
    known = "settings.tests" in cells and cells["settings.tests"].notna().all()
    return (
        f"<p><code>{escape(command(cells))}</code></p>\n"
        f'<p class="note">Made from the cells; add the data folder, restrictions to categories'
        f"{'' if known else ' or test images'}, and settings that differ from the preset.</p>\n"
        f'<details><summary>settings and versions</summary><div class="wide"><table>{rows}</table></div></details>\n'
    )


def _values(values: list[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more


def _table(table: Table) -> str:
    kinds = [_kind(table, index) for index in range(len(table.heads))]
    above = ""
    if any(group for group, _ in table.heads):
        groups = [(group, len(list(heads))) for group, heads in groupby(group for group, _ in table.heads)]
        spans = "".join(f'<th colspan="{count}">{escape(group)}</th>' for group, count in groups)
        above = f"<tr>{spans}</tr>"
    heads = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for kind, (_, name) in zip(kinds, table.heads, strict=True)
    )
    above_each = [(), *table.rows[:-1]] if table.rows else []
    rows = "".join(_row(row, before, kinds, table.labels) for row, before in zip(table.rows, above_each, strict=True))
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in table.notes)
    top = f"<thead>{above}<tr>{heads}</tr></thead>"
    return f'<div class="wide"><table>{top}\n<tbody>\n{rows}</tbody></table></div>\n{notes}'


def _kind(table: Table, index: int) -> str:
    """Return the CSS class of a column: names to the left, sentences wrapped, the paper's numbers in italics."""
    if table.name == "published" and index == len(table.heads) - 1:
        return ' class="text"'
    if index < table.labels or table.name == "published":
        return ' class="name"'
    return ' class="paper"' if MARK in table.heads[index][1] else ""


def _row(row: tuple[str, ...], before: tuple[str, ...], kinds: list[str], labels: int) -> str:
    """Return one row; labels repeated from the row before are softer."""
    same = next((i for i in range(labels) if row[: i + 1] != before[: i + 1]), labels)
    kinds = [' class="name again"'] * same + kinds[same:]
    texts = "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
    first = "" if same or not before else ' class="first"'
    return f"<tr{first}>{texts}</tr>\n"


def _figure(drawing: Drawing) -> str:
    """Return the drawing for the page, in the page's colours and with unique ids."""
    svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>| xmlns(:\w+)?=\"[^\"]*\"", "", drawing.svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=id=")|(?<=url\(#)|(?<=href="#)', f"{drawing.name}-", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(drawing.title)}"', 1)
    return f"<figure><figcaption>{escape(drawing.title)}</figcaption>{svg}</figure>\n"
