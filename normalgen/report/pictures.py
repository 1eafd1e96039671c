"""Draws pictures of one query: the anomaly map over it, and its difference from the normal twin."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFont
from torch import Tensor

from normalgen.images.images import sized, thumbnail

__all__ = ["STOPS", "difference", "overlay", "triptych"]

GAIN = 3.0
SATURATION, OPACITY, GROWTH = 0.6, 0.9, 0.8
SIDE, GAP, CAPTION = 512, 8, 30
STRIP = 2**22
"""Pixels coloured at a time."""
INK, PAPER = (40, 40, 40), (255, 255, 255)

# Every eighth colour of matplotlib's inferno (CC0) from dark violet on, because black would look like a stain.
STOPS = bytes.fromhex(
    "3d0965 4a0c6b 57106e 64156e 71196e 7d1e6d 8a226a 972766 a32c61 b0315b bc3754 c63d4d d04545 da4e3c "
    "e35933 eb6429 f1711f f67e14 f98c0a fb9b06 fcaa0f fbba1f f9c932 f5d949 f2e865 f3f586 fcffa4"
)


def _colours() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    stops = np.frombuffer(STOPS, np.uint8).reshape(-1, 3)
    levels, positions = np.linspace(0, 1, 256), np.linspace(0, 1, len(stops))
    channels = [np.interp(levels, positions, stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def overlay(query: Image.Image, anomaly_map: Tensor, low: float, high: float) -> Image.Image:
    """Return the map in colours (inferno) over the query, with the query's colours slightly muted.

    Args:
        query: RGB, any size.
        anomaly_map: (h, w), any range; resized bilinearly to the query's size. NaN counts as `low`.
        low: at this value and below, only the photo shows.
        high: at this value and above, the colour is strongest; use the same for all queries you compare.

    Returns:
        RGB of the query's size.
    """
    values = np.nan_to_num(anomaly_map.detach().cpu().float().numpy(), nan=low, posinf=high, neginf=low)
    drawn, rows = Image.new("RGB", query.size), max(1, STRIP // query.width)
    for top in range(0, query.height, rows):
        bottom = min(top + rows, query.height)
        strip = _strip(Image.fromarray(values), query.size, top, bottom)
        photo = query.crop((0, top, query.width, bottom))
        drawn.paste(_coloured(photo, (np.asarray(strip) - low) / max(high - low, 1e-12)), (0, top))
    return drawn


def _strip(values: Image.Image, size: tuple[int, int], top: int, bottom: int) -> Image.Image:
    """Return the rows from `top` to `bottom` of a map resized bilinearly to `size`, without the rest of them."""
    step = values.height / size[1]
    margin = math.ceil(2 * max(1, 1 / step))
    above, below = max(0, top - margin), min(size[1], bottom + margin)
    part = values.resize(
        (size[0], below - above), Image.Resampling.BILINEAR, box=(0, above * step, values.width, below * step)
    )
    return part.crop((0, top - above, size[0], bottom - above))


def _coloured(photo: Image.Image, relative: NDArray[np.floating]) -> Image.Image:
    levels = (relative.clip(0, 1) * 255).round().astype(np.uint8)
    opacities = (255 * OPACITY * np.linspace(0, 1, 256) ** GROWTH).round().astype(np.uint8)
    muted = ImageEnhance.Color(photo).enhance(SATURATION)
    return Image.composite(Image.fromarray(_colours()[levels]), muted, Image.fromarray(opacities[levels]))


def difference(query: Image.Image, twin: Image.Image) -> Image.Image:
    """Return the absolute difference of twin and query, grey, times 3, at the query's size.

    Args:
        query: RGB, any size.
        twin: RGB; resized to the query's size.

    Returns:
        RGB: black means equal, white a difference of 85 levels or more.
    """
    apart = ImageChops.difference(query, sized(twin, query.size)).convert("L")
    return apart.point([min(255, round(GAIN * level)) for level in range(256)]).convert("RGB")


def triptych(query: Image.Image, twin: Image.Image) -> Image.Image:
    """Return query, twin and difference side by side, with captions.

    Args:
        query: RGB, any size; reduced to at most 512 pixels on the longer side.
        twin: RGB; shown at the query's proportions.
    """
    first = thumbnail(query, SIDE)
    second = sized(twin, first.size)
    width, height = first.size
    column = max(width, 140)
    sheet = Image.new("RGB", (3 * column + 4 * GAP, height + CAPTION + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    pictures = (first, "query"), (second, "normal twin"), (difference(first, second), f"difference x {GAIN:g}")
    for index, (picture, caption) in enumerate(pictures):
        left = GAP + index * (column + GAP)
        draw.text((left, 6), caption, fill=INK, font=ImageFont.load_default(16))
        sheet.paste(picture, (left, CAPTION))
    return sheet
