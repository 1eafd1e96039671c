"""results.html: tables, figures and what was run, as one page that needs nothing but itself."""

import re
import shlex
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from normalgen.evaluation.cells import Cell, arm_rank
from normalgen.evaluation.figures import COLOURS, Drawing
from normalgen.evaluation.paper_numbers import MARK
from normalgen.evaluation.table_format import Table, span
from normalgen.settings.presets import PRESETS

__all__ = ["page", "run_facts"]

HERE = Path(__file__).parent
STYLES = (HERE / "page.css", HERE / "results.css")
SHOWN = 8
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, cells: list[Cell], tables: list[Table], drawings: list[Drawing]) -> str:
    """The page as HTML, legible in light and dark; the same for the same arguments.

    Args:
        title: of the page.
        cells: that were measured.
        tables: in the order in which they are shown.
        drawings: put after the tables of gains, or first.
    """
    style = "\n".join(path.read_text(encoding="utf-8") for path in STYLES)
    parts = [(f"t{place}", table.title, _table(table)) for place, table in enumerate(tables)]
    after = max((i for i, table in enumerate(tables) if table.name == "gains"), default=-1) + 1
    if drawings:
        parts.insert(after, ("figures", "Figures", "".join(_figure(each) for each in drawings)))
    parts.append(("run", "What was run", _run(cells)))
    links = "".join(f'<a href="#{name}">{escape(heading)}</a>' for name, heading, _ in parts)
    facts = "".join(_fact(*fact) for fact in run_facts(cells))
    sections = "".join(_section(*part) for part in parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header class="top"><div class="words"><h1>{escape(title)}</h1>\n<dl class="facts">{facts}</dl>\n'
        f'<nav aria-label="tables">{links}</nav></div></header>\n<main>\n{sections}</main>\n</body>\n</html>\n'
    )


def run_facts(cells: list[Cell]) -> list[tuple[str, str]]:
    """How much was measured, as name and value."""
    sets = sorted({f"{cell.dataset} (tuning)" if cell.role == "tuning" else cell.dataset for cell in cells})
    seeds = sorted({cell.seed for cell in cells})
    return [
        ("cells", str(len(cells))),
        ("data sets", ", ".join(sets)),
        ("k", ", ".join(map(str, sorted({cell.k for cell in cells})))),
        ("seeds", span(seeds) if seeds == list(range(seeds[0], seeds[-1] + 1)) else ", ".join(map(str, seeds))),
        ("detectors", ", ".join(sorted({cell.detector for cell in cells}))),
        ("arms", ", ".join(sorted({cell.arm for cell in cells}, key=arm_rank))),
        ("tested, normal + anomalous", _tested(cells)),
    ]


def _tested(cells: list[Cell]) -> str:
    """How many test images: of each data set, from the category that has fewest to the one that has most."""
    found = []
    for name in sorted({cell.dataset for cell in cells}):
        counts = [cell.counts for cell in cells if cell.dataset == name and "poison" not in cell.arm]
        good, bad = ([count.get(kind, 0) for count in counts] or [0] for kind in ("normal", "anomalous"))
        found.append(f"{name} {span(good)} + {span(bad)}")
    return ", ".join(found)


def command(cells: list[Cell]) -> str:
    """A command that measures these cells, as far as they tell: without the data's folder and changed settings."""
    by_comma = {
        "--dataset": sorted({cell.dataset for cell in cells}),
        "--detectors": sorted({cell.detector for cell in cells}),
        "--arms": sorted({cell.arm for cell in cells}, key=arm_rank),
        "--shots": [str(k) for k in sorted({cell.k for cell in cells})],
    }
    words = [word for name, values in by_comma.items() for word in (name, ",".join(values))]
    words += ["--seeds", str(max(cell.seed for cell in cells) + 1)]
    for option, name in (("-n", "n"), ("--tests", "tests")):
        values = {cell.settings.get(name) for cell in cells}
        value = values.pop() if len(values) == 1 else None
        words += [option, str(value)] if value else []
    return shlex.join(["normalgen", "evaluate", *words, *_preset_words(cells)])


def _preset_words(cells: list[Cell]) -> list[str]:
    """The preset's name and training steps, where the cells agree on one and it is not what `evaluate` takes anyway.

    Older cells do not have the steps in this form; they are left out.
    """
    used = [cell.settings["preset"] for cell in cells if "preset" in cell.settings]
    found = {(preset.get("name"), preset.get("train", {}).get("steps")) for preset in used}
    name, steps = found.pop() if len(found) == 1 else ("tiny", None)
    words = [] if name == "tiny" else ["--preset", str(name)]
    usual = PRESETS[name].train.steps if name in PRESETS else steps
    return words if steps in (None, usual) else [*words, "--training-steps", str(steps)]


def settings(cells: list[Cell]) -> dict[str, list[str]]:
    """Every setting with the values that occur, "preset.size" for one inside another; and the versions."""
    found: dict[str, set[str]] = {}
    for cell in cells:
        for name, value in [*_flat(cell.settings), *_flat({"version": cell.versions})]:
            found.setdefault(name, set()).add(str(value))
    return {name: sorted(values) for name, values in sorted(found.items())}


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    flat = []
    for name, value in values.items():
        flat += _flat(value, f"{above}{name}.") if isinstance(value, dict) else [(f"{above}{name}", value)]
    return flat


def _run(cells: list[Cell]) -> str:
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(name)}</th><td class="text">{escape(_values(values))}</td></tr>'
        for name, values in settings(cells).items()
    )
    fewer = "" if all("tests" in cell.settings for cell in cells) else " or test images"
    return (
        f"<p><code>{escape(command(cells))}</code></p>\n"
        f'<p class="note">Made from the cells; the folder of the data, restrictions to categories{fewer}, and '
        "settings that are not the preset's own are to be added.</p>\n"
        f'<details><summary>settings and versions</summary><div class="wide"><table>{rows}</table></div></details>\n'
    )


def _values(values: list[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _section(name: str, heading: str, inside: str) -> str:
    kind = ' class="figures"' if name == "figures" else ""
    return f'<section id="{name}"{kind}><h2>{escape(heading)}</h2>\n{inside}</section>\n'


def _table(table: Table) -> str:
    kinds = [_kind(table, place) for place in range(len(table.heads))]
    above = ""
    if any(group for group, _ in table.heads):
        groups = [(group, len(list(some))) for group, some in groupby(group for group, _ in table.heads)]
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


def _kind(table: Table, place: int) -> str:
    """The class of a column: names to the left, sentences wrapped, the paper's numbers in italics."""
    if table.name == "published" and place == len(table.heads) - 1:
        return ' class="text"'
    if place < table.labels or table.name == "published":
        return ' class="name"'
    return ' class="paper"' if MARK in table.heads[place][1] else ""


def _row(row: tuple[str, ...], before: tuple[str, ...], kinds: list[str], labels: int) -> str:
    """One row; labels that the row before it begins with, too, are softer."""
    same = next((i for i in range(labels) if row[: i + 1] != before[: i + 1]), labels)
    kinds = [' class="name again"'] * same + kinds[same:]
    texts = "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
    first = "" if same or not before else ' class="first"'
    return f"<tr{first}>{texts}</tr>\n"


def _figure(drawing: Drawing) -> str:
    """The drawing inside the page, in the page's colours, its names its own."""
    svg = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>| xmlns(:\w+)?=\"[^\"]*\"", "", drawing.svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=id=")|(?<=url\(#)|(?<=href="#)', f"{drawing.name}-", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(drawing.title)}"', 1)
    return f"<figure><figcaption>{escape(drawing.title)}</figcaption>{svg}</figure>\n"
