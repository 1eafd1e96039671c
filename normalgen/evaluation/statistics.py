"""Computes means with their spread, paired gains with their interval, and the worth of an AUROC in real photos.

A mean is taken over the categories of a data set within each seed, then over seeds; its spread is the sample standard
deviation over seeds. A gain is the same mean of differences between two arms with equal category, k, seed and detector.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from normalgen.evaluation.cells import Frame

__all__ = ["AUROC", "CELL", "GROUP", "Gain", "gain", "means", "share", "worth"]

DRAWS, SEED, FEWEST = 10_000, 0, 3
AUROC = "image_auroc"
GROUP = ("role", "dataset", "k", "detector", "arm_rank", "arm")
PAIR = ["dataset", "seed", "category", "k", "detector"]
CELL = [*PAIR, "arm", "arm_kind", "counts.extra", AUROC]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """A mean paired difference.

    Attributes:
        value: mean over categories (and over k, if there are several), then over seeds, then over data sets.
        low: lower end of the 95 % interval; None if a data set has fewer than three seeds and fewer than three
            categories.
        high: its upper end.
        count: number of pairs used.
        seeds: number of seeds, in the data set with the fewest.
        complete: whether every category of the data sets is paired with every seed.
        uneven: number of pairs left out because the arms hold different numbers of images.
        sets: number of data sets with pairs.
    """

    value: float
    low: float | None
    high: float | None
    count: int
    seeds: int
    complete: bool
    uneven: int
    sets: int


def means(
    cells: Frame, value: str = AUROC, by: Sequence[str] = GROUP, whole: Sequence[str] = ("role", "dataset")
) -> Frame:
    """Means over categories, then over seeds: one row per group that has values, in order of `by`.

    Args:
        cells: cells of a group with the same seed and category count as their mean.
        value: the column to average.
        by: the columns that define a group; the returned frame has them, too.
        whole: the columns of `by` that define a whole; its groups should all have its categories and seeds.

    Returns:
        value and spread (the sample standard deviation over seeds, NaN with one seed); seeds; count: categories in the
        seed with the fewest; complete: whether every category of the whole was measured with every seed.
    """
    by, whole = list(by), list(whole)
    known = cells.dropna(subset=[value])
    wholes = known.groupby(whole)
    known = known.assign(wanted=wholes.seed.transform("nunique") * wholes.category.transform("nunique"))
    by_cell = known.groupby([*by, "seed", "category"]).agg(value=(value, "mean"), wanted=("wanted", "first"))
    by_seed = by_cell.groupby([*by, "seed"]).agg(
        value=("value", "mean"), count=("value", "size"), wanted=("wanted", "first")
    )
    groups = by_seed.groupby(by)
    result = groups.value.agg(["mean", "std", "size"]).set_axis(["value", "spread", "seeds"], axis=1)
    result = result.assign(count=groups["count"].min(), complete=groups["count"].sum() == groups.wanted.first())
    return result.reset_index()


def gain(cells: Frame, arm: str, base: str, expected: Frame | None = None) -> Gain | None:
    """The paired gain in image AUROC of `arm` over `base`; None if no pair can be compared.

    A pair can be compared if both arms hold equally many images, if `base` is none, if `arm` is both, which holds more
    by design, or if `arm` is one of unlabeled photos, where how many are kept is part of the result.

    The interval is a 95 % percentile bootstrap. Inside each data set a draw takes seeds with replacement, and
    categories with replacement, the same for all its seeds, because categories and seeds are crossed. All data sets
    are kept. Shots that share a seed are one draw, because their references are nested.

    Args:
        cells: the cells to pair.
        arm: the arm, with its size.
        base: the arm to compare with, with its size.
        expected: cells whose categories and seeds each data set of `cells` should have; default: `cells`.
    """
    measured = cells[CELL].dropna(subset=[AUROC])
    first, second = (measured[measured.arm == name] for name in (arm, base))
    whole = first.merge(second, on=PAIR, suffixes=("", "_base"))
    even = whole["counts.extra"] == whole["counts.extra_base"]
    free = (whole.arm_kind == "both") | whole.arm_kind.str.startswith("unlabeled")
    pairs = whole[even | (whole.arm_kind_base == "none") | free]
    if pairs.empty:
        return None
    pairs = pairs.assign(difference=pairs[AUROC] - pairs[f"{AUROC}_base"])
    grids = _grids(pairs)
    mean = _mean(grids)
    low, high = _interval(_drawn(grids)) if _many(grids) else (None, None)
    complete = _complete(pairs, measured, measured if expected is None else expected.dropna(subset=[AUROC]))
    uneven = len(whole) - len(pairs)
    return Gain(mean, low, high, len(pairs), min(map(len, grids)), complete, uneven, len(grids))


def share(cells: Frame, arm: str, best: str, base: str) -> tuple[float, float | None, float | None] | None:
    """The gain of `arm` over `base` as a share of that of `best`: a ratio of means, with its interval as in `gain`.

    Only seeds, categories and k that all three were measured with count. None where there are none, or where `best`
    gains nothing.
    """
    wide = cells[CELL].dropna(subset=[AUROC]).pivot_table(AUROC, PAIR, "arm")
    if not {arm, best, base} <= set(wide):
        return None
    wide = wide.dropna(subset=[arm, best, base]).reset_index()
    own, whole = (_grids(wide.assign(difference=wide[first] - wide[base])) for first in (arm, best))
    if not own or _mean(whole) <= 0:
        return None
    low, high = _interval(_drawn(own) / _drawn(whole)) if _many(own) else (None, None)
    return _mean(own) / _mean(whole), low, high


def worth(curve: Mapping[int, float], value: float) -> tuple[float | None, str]:
    """How many more real photos give `value`, by linear interpolation of the closest curve that never falls.

    Args:
        curve: means by number of real photos added; 0 is the references alone.
        value: a mean of the same cells.

    Returns:
        The number, or None if the curve does not tell; and the number or the reason in words.
    """
    from sklearn.isotonic import isotonic_regression

    sizes = sorted(curve)
    if curve[sizes[-1]] <= curve[sizes[0]]:
        return None, "cannot tell: they do not help"
    levels = isotonic_regression([curve[size] for size in sizes])
    if value < levels[0]:
        return None, "less than none"
    if value > levels[-1]:
        return None, f"more than {sizes[-1]}"
    end = int(np.searchsorted(levels, value))
    piece = slice(max(end - 1, 0), end + 1)
    photos = float(np.interp(value, levels[piece], sizes[piece]))
    return photos, f"{photos:.1f}"


def _complete(pairs: Frame, cells: Frame, expected: Frame) -> bool:
    """Whether each category is paired with each seed of its data set, in every group that has cells."""
    group = ["dataset", "k", "detector"]
    paired = pairs.groupby(group).size()
    wanted = expected.groupby("dataset")[["seed", "category"]].nunique().prod(axis=1)
    return all(paired.get(key, 0) >= wanted[key[0]] for key in cells[group].itertuples(index=False, name=None))


def _grids(pairs: Frame) -> list[Numbers]:
    """The differences of each data set, by seed and category (S, C)."""
    by_cell = (own.groupby(["seed", "category"]).difference.mean() for _, own in pairs.groupby("dataset"))
    return [own.unstack().to_numpy() for own in by_cell]


def _mean(grids: list[Numbers]) -> float:
    return float(np.mean([np.nanmean(grid, axis=1).mean() for grid in grids]))


def _many(grids: list[Numbers]) -> bool:
    """Whether every data set has enough seeds or categories for an interval."""
    return all(max(grid.shape) >= FEWEST for grid in grids)


def _drawn(grids: list[Numbers]) -> Numbers:
    """Means over data sets (S, C) whose seeds and categories are drawn with replacement; always the same draws."""
    draw = np.random.default_rng(SEED)
    means: Numbers = np.mean([_resampled(grid, draw) for grid in grids], axis=0)
    return means


def _interval(drawn: Numbers) -> tuple[float, float]:
    """The middle 95 % of draws."""
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _resampled(grid: Numbers, draw: np.random.Generator) -> Numbers:
    """`DRAWS` means over drawn categories, which all seeds of a draw share, then over drawn seeds.

    A seed without any of the drawn categories does not count; the mean is NaN if no seed counts.
    """
    seeds, categories = (draw.multinomial(n, np.full(n, 1 / n), size=DRAWS) for n in grid.shape)
    known = categories @ np.isfinite(grid).T
    by_seed = categories @ np.nan_to_num(grid).T / np.maximum(known, 1)
    counted = seeds * (known > 0)
    total = counted.sum(axis=1)
    means: Numbers = np.where(total > 0, (counted * by_seed).sum(axis=1) / np.maximum(total, 1), np.nan)
    return means
