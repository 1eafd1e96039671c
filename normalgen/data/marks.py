"""Masks brought to the size of anomaly maps, without losing a region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Marks", "marks_at", "no_marks"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """What a mask marks, squashed to a square. A region is a set of marked pixels that touch, corners included.

    Attributes:
        mask: bool (S, S), the marked pixels; every region has at least one.
        overlap: float32 (S, S), what each pixel adds to the overlap of its regions: 1 / the region's pixels, summed.
        regions: number of regions in the mask at its own size.
        thin: how many of them cover no pixel of the square by more than half.
    """

    mask: NDArray[np.bool_]
    overlap: NDArray[np.float32]
    regions: int
    thin: int


def no_marks(size: int) -> Marks:
    """Return the marks of a normal image, `size` pixels wide and high."""
    return Marks(np.zeros((size, size), bool), np.zeros((size, size), np.float32), 0, 0)


def marks_at(marked: NDArray[np.bool_], size: int) -> Marks:
    """Return a mask (H, W) squashed to `size` pixels.

    A pixel is marked if more than half of it is. It belongs to the region that covers most of it. A region that would
    have no pixel gets those that it covers at least half as much as the one it covers most, so a scratch stays a line.

    Differs: where maps are enlarged to the masks' size (Bergmann et al. 2021), nothing is squashed. The memory for
    that grows with the photos, 4 bytes per pixel of all of them. Here it does not, and regions are still counted at
    their own size: two that touch after the squash stay two.
    """
    from skimage.measure import label, regionprops

    result = no_marks(size)
    if not marked.any():
        return result
    rows, columns = _bins(marked.shape[0], size), _bins(marked.shape[1], size)
    area = (rows[1] - rows[0])[:, None] * (columns[1] - columns[0])[None]
    top, left = (int(np.flatnonzero(marked.any(axis))[0]) for axis in (1, 0))
    bottom, right = (int(np.flatnonzero(marked.any(axis))[-1]) + 1 for axis in (1, 0))
    cut = marked[top:bottom, left:right]
    window, covered = _window(cut, top, left, rows, columns)
    half_marked = np.zeros((size, size), bool)
    half_marked[window] = 2 * covered > area[window]
    shares, most = [], np.zeros((size, size), np.int64)
    owner = np.zeros((size, size), np.int64)
    for number, region in enumerate(regionprops(label(cut, connectivity=2))):
        window, covered = _window(region.image, top + region.bbox[0], left + region.bbox[1], rows, columns)
        shares.append((window, covered))
        better = covered > most[window]
        owner[window][better], most[window][better] = number, covered[better]
    thin = 0
    for number, (window, covered) in enumerate(shares):
        own = half_marked[window] & (owner[window] == number) & (covered > 0)
        if not own.any():
            share = covered / area[window]
            own = share >= share.max() / 2
            thin += 1
        result.mask[window] |= own
        result.overlap[window] += own / own.sum()
    return Marks(result.mask, result.overlap, len(shares), thin)


def _bins(length: int, size: int) -> tuple[Counts, Counts]:
    """Return the first pixel of each of `size` bins and the one after its last, as adaptive pooling cuts them."""
    bins = np.arange(size, dtype=np.int64)
    return bins * length // size, -(-(bins + 1) * length // size)


def _sums(marked: NDArray[np.bool_], rows: tuple[Counts, Counts], columns: tuple[Counts, Counts]) -> Counts:
    """Return how many pixels are marked in each pair of bins."""
    total = np.zeros((marked.shape[0] + 1, marked.shape[1] + 1), np.int32)
    np.cumsum(np.cumsum(marked, 0, dtype=np.int32), 1, out=total[1:, 1:])
    below, above = total[rows[1]], total[rows[0]]
    return (below[:, columns[1]] - below[:, columns[0]] - above[:, columns[1]] + above[:, columns[0]]).astype(np.int64)


def _window(
    region: NDArray[np.bool_], top: int, left: int, rows: tuple[Counts, Counts], columns: tuple[Counts, Counts]
) -> tuple[tuple[slice, slice], Counts]:
    """Return the bins that a region reaches, and how many of its pixels are in each; its corner is at (top, left)."""
    spans, bins = [], []
    for first, length, (starts, ends) in ((top, region.shape[0], rows), (left, region.shape[1], columns)):
        begin = int(np.searchsorted(ends, first, "right"))
        end = int(np.searchsorted(starts, first + length, "left"))
        spans.append(slice(begin, end))
        inside = (starts[begin:end] - first).clip(0), (ends[begin:end] - first).clip(max=length)
        bins.append(inside)
    return (spans[0], spans[1]), _sums(region, bins[0], bins[1])
