"""Compares a pool's images with plainly augmented references, on normal photos that neither saw."""

from collections.abc import Mapping

import torch
from torch import Tensor

from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.augment import augment_each
from normalgen.images.images import Images
from normalgen.images.turning import turnables
from normalgen.io.rng import generator
from normalgen.quality.measures import Measures, measure
from normalgen.settings.presets import Augment

__all__ = ["compare"]


def compare(
    sets: Mapping[str, Tensor],
    references: Images,
    others: Images | None,
    *,
    size: int,
    augment: Augment,
    most: int,
    seed: int,
) -> dict[str, Measures]:
    """Return `measure` of `sets` and of as many newly augmented references ("augmented"), on embedded features.

    Args:
        sets: images (N, 3, size, size) in [0, 1] by name.
        references: photos that the pool was made from.
        others: normal photos that the pool never saw; None if there are too few.
        size: width and height at which images are compared, in pixels.
        augment: which augmentations a reference may get.
        most: how many of `others` are used, at most.
        seed: draws the augmentations, and the choice of `others`.
    """
    photos = turnables(references, size)
    count = max(len(images) for images in sets.values())
    draws = [generator("quality", seed, i) for i in range(count)]
    augmented = augment_each([photos[i % len(photos)] for i in range(count)], augment, draws)
    held_out = None
    if others is not None:
        order = torch.randperm(len(others), generator=generator("held out", seed))[:most].tolist()
        held_out = others.take(sorted(order)).pixels(size).float() / 255
    return measure(sets, augmented, references.pixels(size).float() / 255, held_out, CnnFeatures())
