"""Images of 16 bits: reduced to 8 by a fixed rule, so that the photos of a set keep their relation to each other.

A range that each photo chose for itself would make equal surfaces differ; photos that do not use the range are refused.
"""

import math
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from normalgen.errors import DataError

__all__ = ["check_range", "from_16_bits", "is_cut", "is_deep", "is_planar"]

LOWEST, NARROWEST = 64, 16  # levels of 256
BITS_PER_SAMPLE, PLANAR = 258, 284  # TIFF tags


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow keeps more than 8 bits of the image, which it does for grey."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def is_cut(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow reads only the high bytes of an image, as it does for 16-bit colour; `data` is the file."""
    if isinstance(image, TiffImageFile):
        return _bits(image) > 8
    if image.format == "JPEG2000":
        return (data[data.find(b"\xff\x51") + 40] & 127) + 1 > 8  # the depth that the marker SIZ gives
    tiles = image.tile if isinstance(image, ImageFile) else ()
    return any(re.search(r";16|SGI16|65535", f"{tile[0]} {tile[3]}") for tile in tiles)


def is_planar(image: Image.Image) -> bool:
    """Whether the image is a TIFF of 16-bit colour in separate planes, which Pillow reads as 8 bits."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PLANAR) == 2 and _bits(image) > 8


def _bits(image: TiffImageFile) -> int:
    return int(max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))))


def from_16_bits(image: Image.Image, source: str) -> Image.Image:
    """Return a grey image of 16 bits as RGB of 8 bits, value / 257 rounded.

    Raises:
        DataError: as `check_range`, or the values are outside 16 bits.
    """
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise DataError(f"{source} holds {image.mode} pixels outside 16 bits; export it with 8 or 16 bits")
    levels = values / 257
    check_range(levels, source)
    return Image.fromarray(np.round(levels).astype(np.uint8)).convert("RGB")


def check_range(levels: NDArray[np.float64], source: str) -> None:
    """Check that 16-bit values, as levels in [0, 255], use their range; the outermost thousandths do not count.

    Raises:
        DataError: they fill only the lowest bits, as cameras of 10 to 14 bits write them, or a narrow band.
    """
    step = max(1, math.isqrt(levels.shape[0] * levels.shape[1] // 1_000_000))
    low, high = np.percentile(levels[::step, ::step], [0.1, 99.9])
    if high < LOWEST:
        bits = max(1, math.ceil(math.log2(high * 257 + 1)))
        raise DataError(
            f"{source} holds 16-bit pixels, but 99.9 % of them are at most {high * 257:.0f}, as {bits}-bit cameras "
            f"write; export it with 8 bits, or multiply its values by {2 ** (16 - bits)}"
        )
    if high - low < NARROWEST:
        raise DataError(
            f"{source} holds 16-bit pixels that fill only {high - low:.0f} of 256 levels; stretch all photos alike, "
            "and export them with 8 bits"
        )
