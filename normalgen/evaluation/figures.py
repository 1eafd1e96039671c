"""Figures of many cells as SVG: AUROC over k, gains with their intervals, AUROC over the pool's size.

The colours are those of the page's light theme, so that a page can put its own in their place.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normalgen.evaluation.cells import FAILING, Cell, arm_kind, arm_rank, arm_size, plain, select, sized
from normalgen.evaluation.contrasts import GAINS, Contrast, contrasts
from normalgen.evaluation.paper_numbers import MARK, paper_categories, published
from normalgen.evaluation.statistics import Group, Mean, means, metric
from normalgen.evaluation.studies import ARMS
from normalgen.evaluation.table_format import STAR, set_name
from normalgen.io.atomic import slug

__all__ = ["COLOURS", "Drawing", "every_figure"]

COLOURS = {
    "ink": "#1c1c1e",
    "soft": "#5b5b62",
    "line": "#d9d9d6",
    "card": "#ffffff",
    "c0": "#1b8a6b",
    "c1": "#d55e00",
    "c2": "#2f6fc4",
    "c3": "#b8457f",
    "c4": "#a67c00",
    "c5": "#6a4fc0",
    "c6": "#0f8ba0",
    "c7": "#8a3b12",
    "c8": "#85858c",
}
LOOKS = {
    "none": ("c8", "o"),
    "rotations": ("c4", "v"),
    "augmented": ("c2", "s"),
    "generated": ("c1", "D"),
    "both": ("c5", "P"),
    "real": ("c0", "^"),
    "no-twins": ("c6", "<"),
    "wrong": ("c7", "X"),
    "poisoned": ("c3", "d"),
    "unpoisoned": ("c0", "h"),
}
ACROSS, WIDTH, HEIGHT = 3, 11.0, 3.0
HIGHEST = 100.5
AUROC = metric("image_auroc")
Found = dict[Group, Mean]
Place = tuple[str, str]


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name: of its file, without the suffix.
        title: what it shows.
        svg: a whole file, the same for the same cells.
    """

    name: str
    title: str
    svg: str


def every_figure(cells: list[Cell]) -> list[Drawing]:
    """Every figure that `cells` have something for: each kind once a detector."""
    shown = plain(cells)
    drawings = []
    for detector in sorted({cell.detector for cell in shown}):
        own = select(shown, detector=detector)
        for draw in (_over_k, _gains, _over_size):
            drawings += draw(detector, own)
    return drawings


def _over_k(detector: str, cells: list[Cell]) -> list[Drawing]:
    found = means(select(cells, arms=set(ARMS) - set(FAILING)), AUROC)
    shots = sorted({group[2] for group in found})
    if len(shots) < 2:
        return []
    places = _places(found)
    with _style():
        figure, axes = _panels(len(places))
        for axis, (role, dataset) in zip(axes, places, strict=True):
            arms = sorted({g[4] for g in found if g[:2] == (dataset, role)}, key=arm_rank)
            for place, arm in enumerate(arms):
                points = {k: found.get((dataset, role, k, detector, arm)) for k in shots}
                shift = 0.05 * (place - (len(arms) - 1) / 2)
                known = [(shots.index(k) + shift, mean) for k, mean in points.items() if mean]
                _line(axis, known, arm)
            measured = {cell.category for cell in select(cells, dataset=dataset, role=role)}
            if detector.startswith("one-to-normal") and len(measured) == paper_categories(dataset):
                _paper(axis, dataset, shots)
            axis.set_xticks(range(len(shots)), [str(k) for k in shots])
            _finish(axis, set_name(dataset, role), "references (k)", "image AUROC, %")
            axis.set_ylim(top=min(axis.get_ylim()[1], HIGHEST))
        return [_drawing("auroc_over_k", f"{detector}: AUROC over k, ± standard deviation over seeds", figure, axes)]


def _gains(detector: str, cells: list[Cell]) -> list[Drawing]:
    found = [each for each in contrasts(cells, GAINS) if each.size is None]
    if not found:
        return []
    rows = list(dict.fromkeys((each.place, each.k) for each in found))
    used = [pair for pair in GAINS if any(each.pair == pair for each in found)]
    with _style():
        figure = Figure(figsize=(WIDTH, 1.0 + 0.42 * len(rows)), layout="constrained")
        axis = figure.subplots()
        axis.axvline(0, color=COLOURS["soft"], linewidth=1)
        for place, pair in enumerate(used):
            own = [each for each in found if each.pair == pair]
            heights = [rows.index((each.place, each.k)) + 0.22 * (place - (len(used) - 1) / 2) for each in own]
            _whiskers(axis, own, heights, place, f"{pair[0]} - {pair[1]}")
        axis.set_yticks(range(len(rows)), [_row_name(name, k, found) for name, k in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        stars = "" if all(each.gain.complete for each in found) else " (*: some category or seed is missing)"
        _finish(axis, "", f"gain in image AUROC, percentage points, 95 % interval{stars}", "", across="x")
        return [_drawing("gains", f"{detector}: gains by arm", figure, [axis])]


def _row_name(place: str, k: int | None, found: list[Contrast]) -> str:
    whole = all(each.gain.complete for each in found if (each.place, each.k) == (place, k))
    return f"{place}, k = {'all' if k is None else k}{'' if whole else STAR}"


def _whiskers(axis: Axes, own: list[Contrast], heights: list[float], place: int, label: str) -> None:
    values = [100 * each.gain.value for each in own]
    ends = [(each.gain.low, each.gain.high) for each in own]
    low = [value - 100 * (value / 100 if end is None else end) for value, (end, _) in zip(values, ends, strict=True)]
    high = [100 * (value / 100 if end is None else end) - value for value, (_, end) in zip(values, ends, strict=True)]
    colour, marker = (("c1", "D"), ("c4", "v"), ("c8", "o"), ("c5", "P"))[place % 4]
    spans = [[max(0.0, end) for end in low], [max(0.0, end) for end in high]]
    axis.errorbar(values, heights, xerr=spans, fmt=marker, color=COLOURS[colour], label=label)


def _over_size(detector: str, cells: list[Cell]) -> list[Drawing]:
    studied = sized(cells)
    if not studied:
        return []
    found = means([*studied, *select(cells, arms={"none"})], AUROC)
    kinds = sorted({arm_kind(cell.arm) for cell in studied}, key=arm_rank)
    counts = sorted({arm_size(cell.arm) or 0 for cell in studied})
    places = sorted({(role, dataset, k) for dataset, role, k, _, arm in found if arm != "none"})
    with _style():
        figure, axes = _panels(len(places))
        for axis, (role, dataset, k) in zip(axes, places, strict=True):
            base = found.get((dataset, role, k, detector, "none"))
            for kind in kinds:
                sizes = {count: found.get((dataset, role, k, detector, f"{kind}:{count}")) for count in counts}
                points = [(0, base), *((place + 1, mean) for place, mean in enumerate(sizes.values()))]
                _line(axis, [(at, mean) for at, mean in points if mean], kind)
            axis.set_xticks(range(len(counts) + 1), ["0", *map(str, counts)])
            _finish(axis, f"{set_name(dataset, role)}, k = {k}", "images that join", "image AUROC, %")
            axis.set_ylim(top=min(axis.get_ylim()[1], HIGHEST))
        return [_drawing("auroc_over_size", f"{detector}: AUROC over pool size", figure, axes)]


def _line(axis: Axes, points: list[tuple[float, Mean]], arm: str) -> None:
    colour, marker = LOOKS.get(arm, ("c8", "."))
    x, values = [at for at, _ in points], [100 * mean.value for _, mean in points]
    spreads = [100 * (mean.spread or 0.0) for _, mean in points]
    dashes = "--" if arm == "none" else "-"
    axis.errorbar(x, values, yerr=spreads, color=COLOURS[colour], fmt=f"{marker}{dashes}", label=arm)


def _paper(axis: Axes, dataset: str, shots: list[int]) -> None:
    rows = [(place, published(dataset, k)) for place, k in enumerate(shots)]
    known = [(place, row.auroc) for place, row in rows if row]
    if known:
        axis.plot(*zip(*known, strict=True), "x", color=COLOURS["ink"], label=MARK, markersize=6)


def _places(found: Found) -> list[Place]:
    return sorted({(role, dataset) for dataset, role, *_ in found})


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, three a row, and room for a legend below them."""
    across = min(ACROSS, count)
    down = -(-count // across)
    figure = Figure(figsize=(WIDTH * max(across, 2) / ACROSS, HEIGHT * down + 0.5), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def _finish(axis: Axes, title: str, below: str, beside: str, across: str = "y") -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(below)
    axis.set_ylabel(beside)
    axis.grid(axis="x" if across == "x" else "y", color=COLOURS["line"], linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


@contextmanager
def _style() -> Iterator[None]:
    ink = {f"{part}.color": COLOURS["ink"] for part in ("text", "xtick", "ytick")}
    edges = {"axes.edgecolor": COLOURS["soft"], "axes.labelcolor": COLOURS["ink"], "legend.frameon": False}
    text = {"svg.fonttype": "none", "svg.hashsalt": "normalgen", "font.size": 9, "font.family": "sans-serif"}
    lines = {"errorbar.capsize": 2.5, "lines.linewidth": 1.3, "lines.markersize": 4.5, "lines.markeredgewidth": 0.8}
    style: dict[Any, Any] = {**ink, **edges, **text, **lines}
    with matplotlib.rc_context(style):
        yield


def _drawing(kind: str, title: str, figure: Figure, axes: list[Axes]) -> Drawing:
    """The figure as SVG without dates or versions, its legend below."""
    entries: dict[str, Artist] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=min(len(entries), 6))
    name = f"{kind}-{slug(title.rpartition(': ')[0])}"
    file = StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing)
    return Drawing(name, title, file.getvalue())
