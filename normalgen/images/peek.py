"""What a file tells without becoming a photo: its size from the header, and whether it looks like a mask."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from normalgen.errors import DataError
from normalgen.images.crop import Crop
from normalgen.images.decode import ImageItem, brief, formats, read_bytes, without_bomb_warning

__all__ = ["count_values", "lost_detail", "need_headers", "need_one_header", "smallest_detail", "upright_size"]

COMPRESSED = ("PNG", "JPEG", "MPO", "WEBP", "GIF")
PHOTO_BYTES, PHOTO_BITS = 600, 2
"""A compressed file of more than 600 bytes plus 2 bits per pixel is a photo: masks take far less."""
NOISE = 24
"""How far, of 255, JPEG takes the pixels of a mask from their values."""
FEW = 100_000
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


@contextmanager
def _opened(item: ImageItem, data: bytes | None = None) -> Iterator[Image.Image]:
    """Open a file's header; a file on the disk is not read any further.

    Raises:
        DataError: it is no image.
    """
    path = Path(item.source)
    try:
        file = path if data is None and path.is_file() else BytesIO(data or read_bytes(item))
        with without_bomb_warning(), Image.open(file, formats=formats()) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # decoders raise any error on damaged files
        raise DataError(
            f"{item.source} cannot be read as an image ({brief(error)}); remove it, or copy it again"
        ) from error


def upright_size(item: ImageItem, data: bytes | None = None) -> tuple[int, int]:
    """Return the (width, height) of an image as `decode` gives it, from its header alone; `data` is its file, if read.

    Raises:
        DataError: the header cannot be read.
    """
    with _opened(item, data) as image:
        return image.size[::-1] if image.getexif().get(0x0112) in _TURNED else image.size


def need_one_header(items: Sequence[ImageItem]) -> None:
    """Check that one of the images can be read, as far as headers tell.

    Raises:
        DataError: none can; says why not the first.
    """
    errors: list[str] = []
    for item in items:
        try:
            upright_size(item)
            return
        except DataError as error:
            errors.append(str(error))
    if errors:
        raise DataError(f"none of {len(errors)} photos can be read: {errors[0]}")


def need_headers(items: Iterable[ImageItem]) -> None:
    """Check that all of the images that are files on the disk can be read, as far as headers tell: 0.1 ms each.

    Raises:
        DataError: some cannot; says how many, and why not the first.
    """
    errors: list[str] = []
    for item in items:
        try:
            if Path(item.source).exists():
                upright_size(item)
        except DataError as error:
            errors.append(str(error))
    if errors:
        raise DataError(f"{len(errors)} images cannot be read; the first: {errors[0]}")


def smallest_detail(items: Iterable[ImageItem], crop: str | Crop | None, size: int) -> int:
    """Return the same as `Images.smallest_detail`, from headers alone. Images without one do not count."""
    longest = 0
    for item in items:
        with suppress(DataError):
            width, height = upright_size(item)
            seen = (min(width, height),) if crop == "center" else (width, height) if crop is None else crop[2:]
            longest = max(longest, *map(int, seen))
    return math.ceil(2 * longest / size)


def lost_detail(smallest: int, size: int, what: str = "photos") -> str:
    """Return a sentence on defects of less than `smallest` source pixels, which `size` hides; empty up to 3 pixels."""
    if smallest <= 3:
        return ""
    hidden = f"defects narrower than about {smallest} of their pixels become invisible"
    return f"{what} are scaled down to {size} px: {hidden}"


def count_values(item: ImageItem) -> int:
    """Return how many different values (or colours) the pixels have, at most 255; 256 for more, and for most photos.

    A compressed file as large as a photo is not decoded. A JPEG counts as two values if nearly all of its pixels are
    close to the lowest or the highest.

    Raises:
        DataError: the file cannot be read.
    """
    with _opened(item) as image:
        path, pixels = Path(item.source), image.width * image.height
        stored = path.stat().st_size if path.is_file() else len(read_bytes(item))
        if image.format in COMPRESSED and stored > PHOTO_BYTES + PHOTO_BITS * pixels / 8:
            return 256
        if image.format in ("JPEG", "MPO"):
            grey = np.asarray(ImageOps.grayscale(image))
            low, high = int(grey.min()), int(grey.max())
            between = ((grey > low + NOISE) & (grey < high - NOISE)).mean()
            return 2 if high - low > 4 * NOISE and between < 0.01 else 256
        values = np.asarray(image)
    rows = values.reshape(pixels, -1)
    few = _distinct(rows[:: max(1, pixels // FEW)])
    return few if few > 255 else _distinct(rows)


def _distinct(rows: NDArray[Any]) -> int:
    weights = 256 ** np.arange(rows.shape[1], dtype=np.int64)
    return min(len(np.unique(rows[:, 0] if rows.shape[1] == 1 else rows @ weights)), 256)
