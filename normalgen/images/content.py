"""Checks that a photo shows something: a lens cap, an overexposed or an empty image teaches a wrong normal."""

import math

import numpy as np
from PIL import Image

from normalgen.errors import DataError

__all__ = ["check_content"]

DARK, BRIGHT, LEAST_RANGE = 16, 239, 4
LEAST_SIDE = 4
"""Pixels on the shorter side of a photo: a line or a dot shows no part."""
SAMPLED = 250_000


def check_content(image: Image.Image, source: str) -> None:
    """Check that an image (RGB) is no line, not constant, almost black or almost white; single outliers do not count.

    The darkest and the brightest thousandth of its pixels are left out, in each channel.

    Raises:
        DataError: it shows nothing.
    """
    if min(image.size) < LEAST_SIDE:
        raise DataError(
            f"{source} is {image.width} x {image.height} pixels, at least {LEAST_SIDE} x {LEAST_SIDE} are needed; "
            "remove it, or crop less"
        )
    step = max(1, math.isqrt(image.width * image.height // SAMPLED))
    sizes = (max(1, image.width // step), max(1, image.height // step))
    pixels = np.asarray(image.resize(sizes, Image.Resampling.NEAREST)).reshape(-1, 3)
    low, high = np.percentile(pixels, [0.1, 99.9], axis=0)
    if (high - low).max() < LEAST_RANGE:
        kind = "almost constant"
    elif high.max() < DARK:
        kind = "almost black"
    elif low.min() > BRIGHT:
        kind = "almost white"
    else:
        return
    raise DataError(
        f"{source} shows nothing, it is {kind} (levels {low.min():.0f} to {high.max():.0f} of 255); remove it, or "
        "take the photo again"
    )
