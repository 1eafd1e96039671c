"""Draws figures of many cells as SVG: AUROC over k, gains with their intervals, AUROC over the pool's size.

The colours are those of the page's light theme; a page may replace them with its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from normalgen.evaluation.cells import FAILING, Frame, arm_rank, optional, plain, sized
from normalgen.evaluation.contrasts import GAINS, contrasts
from normalgen.evaluation.paper_numbers import MARK, paper_categories, published
from normalgen.evaluation.statistics import means
from normalgen.evaluation.studies import ARMS
from normalgen.evaluation.table_format import STAR, label, set_name
from normalgen.io.atomic import slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
STYLE = {
    **{f"{part}.color": COLOURS["ink"] for part in ("text", "xtick", "ytick")},
    **{"axes.edgecolor": COLOURS["soft"], "axes.labelcolor": COLOURS["ink"], "legend.frameon": False},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "axes.axisbelow": True},
    **{"axes.grid": True, "axes.grid.axis": "y", "grid.color": COLOURS["line"], "grid.linewidth": 0.8},
    **{"svg.fonttype": "none", "svg.hashsalt": "normalgen", "font.size": 9, "font.family": "sans-serif"},
    **{"errorbar.capsize": 2.5, "lines.linewidth": 1.3, "lines.markersize": 4.5, "lines.markeredgewidth": 0.8},
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
PAIR_LOOKS = (("c1", "D"), ("c4", "v"), ("c8", "o"), ("c5", "P"))
Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name: its file name without the suffix.
        title: what it shows.
        svg: the whole file; the same cells give the same file.
    """

    name: str
    title: str
    svg: str


def every_figure(cells: Frame) -> list[Drawing]:
    """All figures that `cells` have numbers for, for every detector."""
    drawings = []
    with optional("matplotlib").rc_context(STYLE):
        for detector, own in plain(cells).groupby("detector"):
            for draw in (_over_k, _gains, _over_size):
                drawings += draw(detector, own)
    return drawings


def _over_k(detector: str, cells: Frame) -> list[Drawing]:
    result = means(cells[cells.arm.isin(set(ARMS) - set(FAILING))])
    shots = sorted(set(result.k))
    if len(shots) < 2:
        return []
    paper: dict[str, Points] = {}
    for (role, dataset), own in cells.groupby(["role", "dataset"]):
        if detector.startswith("one-to-normal") and own.category.nunique() == paper_categories(dataset):
            rows = [(index, published(dataset, k)) for index, k in enumerate(shots)]
            paper[set_name(dataset, role)] = [(index, row.auroc) for index, row in rows if row]
    panels = [set_name(*which) for which in zip(result.dataset, result.role, strict=True)]
    lines = result.assign(panel=panels, line=result.arm, x=result.k.map(shots.index))
    title = f"{detector}: AUROC over k, ± standard deviation over seeds"
    return [_curves("auroc_over_k", title, lines.sort_values("arm_rank"), "references (k)", shots, paper)]


def _over_size(detector: str, cells: Frame) -> list[Drawing]:
    studied = sized(cells)
    counts = [0, *sorted(set(studied.arm_size))]
    result = means(cells[cells.arm.isin(["none", *studied.arm])], by=["role", "dataset", "k", "arm_kind", "arm_size"])
    panels = [f"{set_name(row.dataset, row.role)}, k = {row.k}" for row in result.itertuples()]
    result = result.assign(panel=panels, x=result.arm_size.map(counts.index))
    result = result[result.panel.isin(result.panel[result.x > 0])]
    if result.empty:
        return []
    kinds = sorted(set(studied.arm_kind), key=arm_rank)
    lines = optional("pandas").concat(
        [result[result.arm_kind.isin(["none", kind])].assign(line=kind) for kind in kinds]
    )
    return [_curves("auroc_over_size", f"{detector}: AUROC over pool size", lines, "images that join", counts, {})]


def _curves(kind: str, title: str, lines: Frame, below: str, ticks: Sequence[int], paper: dict[str, Points]) -> Drawing:
    """A figure with a panel per set and a line per arm. Lines over k are shifted, because their points share an x."""
    panels = list(lines.sort_values(["role", "dataset", "k"]).panel.unique())
    figure, axes = _panels(len(panels))
    for axis, panel in zip(axes, panels, strict=True):
        own = lines[lines.panel == panel]
        arms = list(own.line.unique())
        for index, arm in enumerate(arms):
            shift = 0.05 * (index - (len(arms) - 1) / 2) if kind == "auroc_over_k" else 0
            _line(axis, own[own.line == arm].sort_values("x"), arm, shift)
        if points := paper.get(panel):
            axis.plot(*zip(*points, strict=True), "x", color=COLOURS["ink"], label=MARK, markersize=6)
        axis.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
        axis.set(title=panel, xlabel=below, ylabel="image AUROC, %")
        axis.set_ylim(top=min(axis.get_ylim()[1], HIGHEST))
    return _drawing(kind, title, figure, axes)


def _line(axis: "Axes", points: Frame, arm: str, shift: float) -> None:
    colour, marker = LOOKS.get(arm, ("c8", "."))
    values, spreads = [100 * value for value in points.value], [100 * spread for spread in points.spread.fillna(0.0)]
    dashes = "--" if arm == "none" else "-"
    positions = [x + shift for x in points.x]
    axis.errorbar(positions, values, yerr=spreads, color=COLOURS[colour], fmt=f"{marker}{dashes}", label=arm)


def _gains(detector: str, cells: Frame) -> list[Drawing]:
    result = contrasts(cells, GAINS)
    result = result[result.arm_size == 0]
    if result.empty:
        return []
    rows = {row: index for index, row in enumerate(result.row.unique())}
    pairs = [pair for pair in GAINS if ("", " - ".join(pair)) in set(result["head"])]
    figure = optional("matplotlib.figure").Figure(figsize=(WIDTH, 1.0 + 0.42 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color=COLOURS["soft"], linewidth=1)
    for index, pair in enumerate(" - ".join(pair) for pair in pairs):
        own = result[result["head"] == ("", pair)]
        heights = [rows[row] + 0.22 * (index - (len(pairs) - 1) / 2) for row in own.row]
        _whiskers(axis, own, heights, index, pair)
    names = [
        f"{label(own, 'data set')}, k = {label(own, 'k')}{'' if own.complete.all() else STAR}"
        for _, own in result.groupby("row")
    ]
    axis.set_yticks(range(len(rows)), names)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    stars = "" if result.complete.all() else " (*: some category or seed is missing)"
    axis.set_xlabel(f"gain in image AUROC, percentage points, 95 % interval{stars}")
    axis.grid(visible=False, axis="y")
    axis.grid(visible=True, axis="x")
    return [_drawing("gains", f"{detector}: gains by arm", figure, [axis])]


def _whiskers(axis: "Axes", own: Frame, heights: list[float], index: int, pair: str) -> None:
    values, low, high = ([100 * value for value in own[end].fillna(own.value)] for end in ("value", "low", "high"))
    spans = [
        [max(0.0, value - end) for value, end in zip(values, low, strict=True)],
        [max(0.0, end - value) for value, end in zip(values, high, strict=True)],
    ]
    colour, marker = PAIR_LOOKS[index]
    axis.errorbar(values, heights, xerr=spans, fmt=marker, color=COLOURS[colour], label=pair)


def _panels(count: int) -> "tuple[Figure, list[Axes]]":
    """A figure with `count` panels, three per row, and room for a legend below them."""
    across = min(ACROSS, count)
    down = -(-count // across)
    size = (WIDTH * max(across, 2) / ACROSS, HEIGHT * down + 0.5)
    figure = optional("matplotlib.figure").Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def _drawing(kind: str, title: str, figure: "Figure", axes: "list[Axes]") -> Drawing:
    """The figure as SVG without dates or versions, with its legend below."""
    entries: dict[str, Any] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=min(len(entries), 6))
    name = f"{kind}-{slug(title.rpartition(': ')[0])}"
    file = StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing)
    return Drawing(name, title, file.getvalue())
