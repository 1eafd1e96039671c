"""Overlapping square tiles of large photos, so that small defects keep their size when a tile is resized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from normalgen.errors import DataError
from normalgen.images.crop import Crop
from normalgen.images.images import Images, to_tensor
from normalgen.io.rng import generator

__all__ = ["LEAST", "check_tile", "mixed", "squashed", "tiled", "windows"]

LEAST, OVERLAP = 32, 0.25
"""The smallest tile, in pixels, and the share of its side that neighbours have in common, at least."""


def check_tile(side: int) -> None:
    """Check the side of tiles, in pixels; 0 cuts nothing.

    Raises:
        DataError: it is negative, or smaller than any detail of a part.
    """
    if side and side < LEAST:
        raise DataError(f"--tile must be at least {LEAST} pixels, or 0 for whole photos, got {side}")


def windows(width: int, height: int, side: int) -> list[Crop]:
    """Return tiles that cover a photo evenly, row by row, as (x, y, width, height) in its pixels.

    Neighbours overlap by at least a quarter; the last tiles end at the border. A photo smaller than a tile is one.
    """
    across, down = min(side, width), min(side, height)
    return [(x, y, across, down) for y in _starts(height, down) for x in _starts(width, across)]


def _starts(length: int, side: int) -> list[int]:
    steps = math.ceil((length - side) / (side * (1 - OVERLAP)))
    return [round(i * (length - side) / steps) for i in range(steps + 1)] if steps else [0]


def tiled(images: Images, side: int) -> Images:
    """Return the tiles of all images, photo by photo, as images named NAME@x,y; reads the photos' headers alone.

    Args:
        images: photos, with their crop.
        side: width and height of a tile, in pixels of the cropped photo.

    Raises:
        DataError: a photo cannot be read, or the crop extends beyond it.
    """
    return images.cut(
        [
            replace(item, name=f"{item.name}@{window[0]},{window[1]}", whole=item, window=window)
            for item, size in zip(images.items, images.sizes(), strict=True)
            for window in windows(*size, side)
        ]
    )


def mixed(images: Images, most: int) -> Images:
    """Return at most `most` of the images, in a random order that their number decides."""
    order = torch.randperm(len(images), generator=generator("tiles", len(images)))
    return images.take(order[:most].tolist())


def squashed(image: Image.Image, boxes: Sequence[Crop], size: int) -> Tensor:
    """Return parts of an image, each squashed to a square, (N, 3, size, size) in [0, 1]."""
    parts = [image.crop((x, y, x + width, y + height)) for x, y, width, height in boxes]
    return torch.stack([to_tensor(part, size) for part in parts])
