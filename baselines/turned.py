"""The normal images of a detector, with turned views of its references. Images of pools are not turned."""

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.images.augment import Border, turn

__all__ = ["normal_images"]


def normal_images(
    known: Known, views: int, step: Callable[[int, int, int], int], border: Border, batch: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield batches: for each image the reference that it is made from (-1: none), and images (n, 3, S, S) in [0, 1].

    The references come first, then the pool, then the views.

    Args:
        known: the references and the pool.
        views: turned views per reference, or per tile of it.
        step: takes the indices of a reference, of a tile of it and of a view, and returns how far to turn, see `turn`.
        border: what a view shows beyond the photo.
        batch: most images at a time.
    """
    pairs = _pairs(known, views, step, border)
    while part := list(islice(pairs, batch)):
        yield [owner for owner, _ in part], torch.stack([image for _, image in part])


def _pairs(
    known: Known, views: int, step: Callable[[int, int, int], int], border: Border
) -> Iterator[tuple[int, Tensor]]:
    for owner, image in zip(known.sources, (*known.photos, *known.drawn), strict=True):
        yield owner, image.float() / 255
    for owner in range(len(known.digests)) if views else ():
        for number, tile in enumerate(known.cut(owner)):
            for view in range(views):
                yield owner, turn(tile, step(owner, number, view), border)
