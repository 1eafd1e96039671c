"""Means with their spread, paired gains with their interval, and what a number is worth in real photos.

A mean is taken over the categories of a data set inside each seed, then over seeds; its spread is the sample standard
deviation over seeds. A gain is the same mean of differences between two arms that share category, k, seed and detector.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from normalgen.evaluation.cells import Cell, arm_kind

__all__ = ["Gain", "Group", "Mean", "Value", "Worth", "branch", "gain", "mean_of", "means", "metric", "worth"]

DRAWS, SEED, FEWEST = 10_000, 0, 3
Value = Callable[[Cell], float | None]
Group = tuple[str, str, int, str, str]
"""Data set, role, k, detector, arm."""
Numbers = NDArray[np.float64]
Place = tuple[str, int, str, int, str]
"""Data set, seed, category, k, detector: what the two arms of a pair share."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds of means over categories.

    Attributes:
        value: the mean.
        spread: the sample standard deviation (ddof 1) over seeds; None with one seed.
        seeds: how many.
        categories: how many, in the seed that has fewest.
        complete: every category was measured with every seed.
    """

    value: float
    spread: float | None
    seeds: int
    categories: int
    complete: bool


@dataclass(frozen=True)
class Gain:
    """A mean paired difference.

    Attributes:
        value: the mean over data sets of means over seeds of means over categories (and over k, if there are several).
        low: end of the 95 % interval; None where some data set has fewer than three of both.
        high: its other end.
        pairs: differences that went in.
        seeds: how many, in the data set that has fewest.
        complete: every category of the data sets went in with every seed.
        uneven: pairs that were left out because the arms hold different numbers of images.
    """

    value: float
    low: float | None
    high: float | None
    pairs: int
    seeds: int
    complete: bool
    uneven: int

    @property
    def holds_0(self) -> bool:
        """Whether there is an interval, and it shows neither gain nor loss."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


@dataclass(frozen=True)
class Worth:
    """How many more real photos give the same mean.

    Attributes:
        photos: how many; None outside what was measured.
        side: "within" what was measured, "below" it (worse than no photo more), "above" it, "flat": real photos did
            not help either, "sparse": too few numbers of photos were measured, or "unsure": no gain over none is shown.
        most: the largest number that was measured.
    """

    photos: float | None
    side: str
    most: int

    def __str__(self) -> str:
        if self.photos is not None:
            return f"{self.photos:.1f}"
        words = {
            "below": "less than none",
            "above": f"more than {self.most}",
            "flat": "cannot tell: they do not help",
            "sparse": f"cannot tell: only 0 and {self.most} measured",
            "unsure": "cannot tell: no gain is shown",
        }
        return words[self.side]


def metric(name: str) -> Value:
    """The metric called `name` of a cell."""
    return lambda cell: cell.metrics.get(name)


def branch(name: str) -> Value:
    """The image AUROC of a cell's branch."""
    return lambda cell: cell.branches.get(name)


def means(cells: Iterable[Cell], value: Value) -> dict[Group, Mean]:
    """The mean of each data set, role, k, detector and arm that has values; complete against all seen of the set."""
    found: dict[Group, list[Cell]] = defaultdict(list)
    expected: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        if value(cell) is not None:
            found[cell.dataset, cell.role, cell.k, cell.detector, cell.arm].append(cell)
            expected[cell.dataset, cell.role].append(cell)
    return {group: mean_of(some, value, expected[group[:2]]) for group, some in found.items()}


def mean_of(cells: list[Cell], value: Value, expected: list[Cell] | None = None) -> Mean:
    """The mean over seeds of means over categories, of cells that differ in nothing else (else their mean counts).

    Args:
        cells: at least one, each with a value.
        value: of a cell.
        expected: cells whose categories and seeds `cells` should all have; default: `cells`.
    """
    nested = _nested((cell.seed, cell.category, _known(cell, value)) for cell in cells)
    by_seed = [fmean(fmean(values) for values in seed.values()) for seed in nested.values()]
    every = expected or cells
    wanted = {(cell.seed, cell.category) for cell in cells}
    categories, seeds = {cell.category for cell in every}, {cell.seed for cell in every}
    return Mean(
        fmean(by_seed),
        stdev(by_seed) if len(by_seed) > 1 else None,
        len(by_seed),
        min(map(len, nested.values())),
        len(wanted) == len(categories) * len(seeds),
    )


def gain(
    cells: Iterable[Cell], arm: str, base: str, value: Value, expected: Iterable[Cell] | None = None
) -> Gain | None:
    """What `arm` gives more than `base`, paired; None if no pair is there that can be compared.

    A pair can if both arms hold as many images, if `base` is none, or if `arm` is both, which holds more by design.

    The interval is the percentile bootstrap's with 95 %: inside each data set a draw takes seeds with replacement, and
    categories with replacement, the same categories for all its seeds, as categories and seeds are crossed. The data
    sets are all kept. Shots that share a seed are one draw, as their references are nested.

    Args:
        cells: in which pairs are looked for.
        arm: with its size.
        base: with its size.
        value: of a cell.
        expected: cells whose categories and seeds each data set of `cells` should have; default: `cells`.
    """
    measured = [cell for cell in cells if value(cell) is not None]
    found: dict[Place, dict[str, Cell]] = defaultdict(dict)
    for cell in measured:
        if cell.arm in (arm, base):
            found[cell.dataset, cell.seed, cell.category, cell.k, cell.detector][cell.arm] = cell
    whole = {place: (both[arm], both[base]) for place, both in sorted(found.items()) if len(both) == 2}
    pairs = {
        place: _known(first, value) - _known(second, value)
        for place, (first, second) in whole.items()
        if _comparable(first, second)
    }
    if not pairs:
        return None
    every = measured if expected is None else [cell for cell in expected if value(cell) is not None]
    names = sorted({place[0] for place in pairs})
    sets = [_nested((place[1], place[2], each) for place, each in pairs.items() if place[0] == name) for name in names]
    grids = [_grid(each) for each in sets]
    mean = fmean(fmean(fmean(map(fmean, seed.values())) for seed in each.values()) for each in sets)
    low, high = _interval(grids) if all(map(_varies, grids)) else (None, None)
    complete = _complete(pairs, measured, every)
    return Gain(mean, low, high, len(pairs), min(map(len, sets)), complete, len(whole) - len(pairs))


def worth(curve: Mapping[int, float], value: float) -> Worth:
    """How many more real photos are worth `value`, by linear interpolation of the closest curve that never falls.

    Args:
        curve: the mean by number of real photos added; 0 is the references alone.
        value: a mean of the same cells.
    """
    sizes = sorted(curve)
    if curve[sizes[-1]] <= curve[sizes[0]]:
        return Worth(None, "flat", sizes[-1])
    levels = _never_falling([curve[size] for size in sizes])
    if value < levels[0]:
        return Worth(None, "below", sizes[-1])
    if value > levels[-1]:
        return Worth(None, "above", sizes[-1])
    if value == levels[0]:
        return Worth(float(sizes[0]), "within", sizes[-1])
    for (size, level), (larger, higher) in pairwise(zip(sizes, levels, strict=True)):
        if level < value <= higher:
            return Worth(size + (larger - size) * (value - level) / (higher - level), "within", sizes[-1])
    raise AssertionError("a value between the ends lies in one piece")


def _known(cell: Cell, value: Value) -> float:
    found = value(cell)
    if found is None:
        raise ValueError(f"{cell.key} has no such value")
    return found


def _nested(values: Iterable[tuple[int, str, float]]) -> dict[int, dict[str, list[float]]]:
    """Values by seed, then by category, in order of both."""
    nested: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed, category, value in sorted(values):
        nested[seed][category].append(value)
    return nested


def _comparable(first: Cell, second: Cell) -> bool:
    even = first.counts.get("extra") == second.counts.get("extra")
    return even or arm_kind(second.arm) == "none" or arm_kind(first.arm) == "both"


def _complete(pairs: Iterable[Place], cells: list[Cell], expected: list[Cell]) -> bool:
    """Whether, wherever there are cells, each category of the data set is paired with each of its seeds."""
    seeds: dict[str, set[int]] = defaultdict(set)
    categories: dict[str, set[str]] = defaultdict(set)
    for cell in expected:
        seeds[cell.dataset].add(cell.seed)
        categories[cell.dataset].add(cell.category)
    there = Counter((place[0], *place[3:]) for place in pairs)
    wanted = {(cell.dataset, cell.k, cell.detector) for cell in cells}
    return all(there[each] >= len(seeds[each[0]]) * len(categories[each[0]]) for each in wanted)


def _grid(nested: dict[int, dict[str, list[float]]]) -> Numbers:
    """Means (S, C) by seed and category, NaN where there is none."""
    categories = sorted({name for seed in nested.values() for name in seed})
    return np.array(
        [[fmean(seed[name]) if name in seed else np.nan for name in categories] for seed in nested.values()]
    )


def _varies(grid: Numbers) -> bool:
    """Whether there is enough to resample: two seeds, or two categories, are not."""
    return bool(max(grid.shape) >= FEWEST)


def _interval(grids: list[Numbers]) -> tuple[float, float]:
    """The middle 95 % of means of data sets (S, C) whose seeds and categories are drawn with replacement."""
    draw = np.random.default_rng(SEED)
    drawn = np.mean([_resampled(grid, draw) for grid in grids], axis=0)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _resampled(grid: Numbers, draw: np.random.Generator) -> Numbers:
    """`DRAWS` means over drawn seeds of means over drawn categories, which all seeds of a draw share.

    A seed without any of the drawn categories does not count; the mean is NaN where no seed does.
    """
    seeds, categories = (draw.multinomial(n, np.full(n, 1 / n), size=DRAWS) for n in grid.shape)
    known = categories @ np.isfinite(grid).T
    by_seed = categories @ np.nan_to_num(grid).T / np.maximum(known, 1)
    counted = seeds * (known > 0)
    total = counted.sum(axis=1)
    means: Numbers = np.where(total > 0, (counted * by_seed).sum(axis=1) / np.maximum(total, 1), np.nan)
    return means


def _never_falling(values: list[float]) -> list[float]:
    """The least-squares sequence that never falls: neighbours that do are put at their mean."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (high, many), (low, more) = blocks[-2:]
            blocks[-2:] = [((high * many + low * more) / (many + more), many + more)]
    return [value for value, count in blocks for _ in range(count)]
