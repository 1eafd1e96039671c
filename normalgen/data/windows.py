"""Images that are no files of their own: windows of larger ones, and arrays."""

from collections.abc import Sequence
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, decode, decode_mask, file_item

__all__ = ["Box", "columns", "marks", "png", "thirds", "union", "window"]

Box = tuple[int, int, int, int]


def thirds(width: int, height: int) -> list[Box]:
    """Return three boxes (left, top, right, bottom) of equal height, top to bottom."""
    edges = [height * part // 3 for part in range(4)]
    return [(0, top, width, bottom) for top, bottom in pairwise(edges)]


def columns(width: int, height: int, step: int) -> list[Box]:
    """Return boxes `step` wide and as high as the image, left to right; the last may be narrower."""
    return [(left, 0, min(left + step, width), height) for left in range(0, width, step)]


def window(item: ImageItem, box: Box, size: tuple[int, int], name: str) -> ImageItem:
    """Return the part `box` of an image that must have (width, height) = `size`; reads as PNG."""
    left, top, right, bottom = box
    return ImageItem(name, f"{item.source} [{left}:{right}, {top}:{bottom}]", partial(_read, item, box, size))


def _read(item: ImageItem, box: Box, size: tuple[int, int]) -> bytes:
    image = decode(item)
    if image.size != size:
        raise DataError(f"{item.source} has {image.size} pixels, expected {size}, as its mask has")
    return png(np.asarray(image.crop(box)))


def png(values: NDArray[np.uint8]) -> bytes:
    """Return an array (H, W) or (H, W, 3) as PNG."""
    buffer = BytesIO()
    # Stored, not deflated: the same bytes whichever zlib is at work, as manifests compare their SHA-256.
    Image.fromarray(values).save(buffer, "png", compress_level=0)
    return buffer.getvalue()


def marks(file: Path) -> NDArray[np.bool_]:
    """Return the pixels that the mask in a file marks, (H, W)."""
    return decode_mask(file_item(file))


def union(files: Sequence[Path]) -> ImageItem:
    """Return the masks in several files as one; reads as PNG, and raises DataError if their sizes differ."""
    return ImageItem(files[0].name, f"{files[0].parent}/*", partial(_united, tuple(files)))


def _united(files: tuple[Path, ...]) -> bytes:
    parts = [marks(file) for file in files]
    if len({part.shape for part in parts}) > 1:
        raise DataError(f"the masks in {files[0].parent} differ in size; masks of one image must agree")
    return png(np.where(np.stack(parts).any(0), np.uint8(255), np.uint8(0)))
