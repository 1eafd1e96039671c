"""Decode a file's bytes safely to an upright RGB image, or to the pixels that a mask marks."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from normalgen.errors import DataError
from normalgen.images.crop import Crop

__all__ = ["SUFFIXES", "ImageItem", "decode", "decode_mask", "read_bytes", "upright_size"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"}

ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""EXIF's tag for the orientation of a photo, and its values for photos stored on their side."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageItem:
    """One image, or a part of one.

    Attributes:
        name: unique in its data set.
        source: names it in messages.
        read: reads the bytes of its file.
        whole: the photo that it is a part of; None for a whole photo.
        window: which part, as (x, y, width, height) in pixels of the cropped photo.
    """

    name: str
    source: str
    read: Callable[[], bytes]
    whole: "ImageItem | None" = None
    window: Crop | None = None


def decode(item: ImageItem, data: bytes | None = None) -> Image.Image:
    """Return the image upright and RGB, however it is stored; transparent pixels become white, 16 bits become 8.

    Args:
        item: the image to decode.
        data: its bytes; None reads them.

    Raises:
        DataError: unreadable, truncated, empty, animated, or so large that it may be a decompression bomb.
    """
    data = read_bytes(item) if data is None else data
    return _open(item, data, lambda image: _rgb(ImageOps.exif_transpose(image), item.source))


def upright_size(item: ImageItem, data: bytes) -> tuple[int, int]:
    """Return width and height of an image as `decode` returns it, from its header alone.

    Raises:
        DataError: as `decode`, as far as the header tells.
    """
    return _open(item, data, _upright)


def _upright(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if image.getexif().get(ORIENTATION) in TURNED else (width, height)


def _open(item: ImageItem, data: bytes, read: Callable[[Image.Image], Result]) -> Result:
    if not data:
        raise DataError(f"{item.source} is empty (0 bytes); remove it, or copy it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data)) as image:
                _check(image, item.source)
                return read(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{item.source} is too large to decode safely ({error}); scale it down") from error
    except Exception as error:  # decoders raise any error on damaged files: TypeError, struct.error
        raise DataError(
            f"{item.source} cannot be read as an image ({_brief(error)}); remove it, or copy it again"
        ) from error


def decode_mask(item: ImageItem) -> NDArray[np.bool_]:
    """Return the pixels that a mask marks, (H, W): those not 0; in a lossy file (JPEG), those at least half bright.

    Transparent pixels mark nothing. Integers of any width may stand for kinds of defects.

    Raises:
        DataError: as `decode`.
    """
    return _open(item, read_bytes(item), _marked)


def _marked(stored: Image.Image) -> NDArray[np.bool_]:
    image = ImageOps.exif_transpose(stored)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.asarray(np.asarray(image) != 0)
    if "A" in image.getbands() or "transparency" in image.info:
        values = np.asarray(image.convert("RGBA"))
        return np.asarray(values[..., :3].any(2) & (values[..., 3] > 0))
    least = 128 if stored.format in ("JPEG", "MPO") else 1
    return np.asarray((np.asarray(image.convert("RGB")) >= least).any(2))


def read_bytes(item: ImageItem) -> bytes:
    """Return the bytes of the file as stored.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return item.read()
    except OSError as error:
        raise DataError(f"{item.source} cannot be read ({error.strerror or error})") from error


def _brief(error: Exception) -> str:
    return "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)


def _check(image: Image.Image, source: str) -> None:
    # Phones write MPO files as .jpg: the first picture is the photo, the others are thumbnails and gain maps.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise DataError(f"{source} holds {frames} frames, expected 1; export one of them as a single image")


def _rgb(image: Image.Image, source: str) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise DataError(f"{source} holds {image.mode} pixels outside 16 bits; export it with 8 or 16 bits")
        if 0 < values.max() < 16384:
            raise DataError(
                f"{source} holds 16-bit pixels, but none is above {values.max():.0f}, as 10- to 14-bit cameras write; "
                "export it with 8 bits, or scale it to 16"
            )
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image.convert("RGB")
