"""Masks at the size of maps: no region is lost."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.measure import label
from torch.nn.functional import interpolate

from normalgen.data.marks import marks_at, no_marks

Mask = NDArray[np.bool_]


def blank(width: int = 2048, height: int = 2048) -> Mask:
    return np.zeros((height, width), bool)


def line(mask: Mask, width: int, slope: float = 0.25) -> Mask:
    for x in range(300, 1500):
        top = int(400 + slope * (x - 300))
        mask[top : top + width, x] = True
    return mask


def speck(mask: Mask, *corners: tuple[int, int]) -> Mask:
    for x, y in corners:
        mask[y, x] = True
    return mask


def dashes() -> Mask:
    mask = blank()
    mask[800:803, 100:1900:40] = mask[801, 100:1900:40] = True
    return mask


THIN = [
    ("a scratch 1 px wide", line(blank(), 1), 1),
    ("a scratch 4 px wide", line(blank(), 4), 1),
    ("one pixel", speck(blank(), (1000, 1000)), 1),
    ("two specks in one pixel of the map", speck(blank(), (1000, 1000), (1006, 1006)), 2),
    ("specks in all corners", speck(blank(), (0, 0), (2047, 0), (0, 2047), (2047, 2047)), 4),
    ("dashes", dashes(), 45),
    ("a speck in a wide photo", speck(blank(4000, 300), (3333, 7)), 1),
    ("a speck in a mask smaller than the map", speck(blank(40, 30), (5, 5)), 1),
]


@pytest.mark.parametrize(("mask", "regions"), [row[1:] for row in THIN], ids=[row[0] for row in THIN])
def test_every_region_keeps_at_least_a_pixel(mask: Mask, regions: int) -> None:
    marks = marks_at(mask, 256)
    assert marks.regions == regions
    assert marks.mask.any()
    assert marks.overlap.sum() == pytest.approx(regions)
    assert ((marks.overlap > 0) == marks.mask).all()


def test_a_thin_scratch_stays_one_line_where_it_was() -> None:
    mask = line(blank(), 4)
    marks = marks_at(mask, 256)
    assert (marks.regions, marks.thin) == (1, 1)
    assert label(marks.mask, connectivity=2).max() == 1
    assert set(np.flatnonzero(marks.mask.any(0))) == set(range(37, 188))
    touched = interpolate(torch.from_numpy(mask).float()[None, None], (256, 256), mode="area")[0, 0].numpy() > 0
    assert not (marks.mask & ~touched).any()


def test_regions_that_touch_once_squashed_are_still_two() -> None:
    mask = blank(64, 64)
    mask[8:24, 8:23] = mask[8:24, 25:40] = True
    marks = marks_at(mask, 16)
    assert label(marks.mask, connectivity=2).max() == 1
    assert marks.regions == 2
    assert marks.overlap.sum() == pytest.approx(2)


@pytest.mark.parametrize("seed", range(8))
def test_masks_without_thin_regions_are_squashed_as_by_area(seed: int) -> None:
    draw = np.random.default_rng(seed)
    mask = blank(*draw.integers(100, 300, 2).tolist())
    for _ in range(4):
        x, y = draw.integers(0, 60, 2)
        mask[y : y + draw.integers(20, 40), x : x + draw.integers(20, 40)] = True
    marks = marks_at(mask, 32)
    area = interpolate(torch.from_numpy(mask).float()[None, None], (32, 32), mode="area")[0, 0].numpy()
    assert marks.thin == 0
    assert (marks.mask == (area > 0.5)).all()


def test_nothing_marked_gives_nothing() -> None:
    for marks in (marks_at(blank(9, 7), 4), no_marks(4)):
        assert not marks.mask.any()
        assert (marks.regions, marks.thin, marks.overlap.sum()) == (0, 0, 0)
