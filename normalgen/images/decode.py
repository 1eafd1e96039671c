"""Decode a file's bytes safely to an upright RGB image, or to the pixels that a mask marks."""

import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from normalgen.errors import DataError
from normalgen.images.crop import Crop
from normalgen.images.depth import check_range, from_16_bits, is_cut, is_deep, is_planar

__all__ = ["ImageItem", "brief", "decode", "decode_mask", "file_item", "formats", "read_bytes", "without_bomb_warning"]

FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MPO", "MSP", "PCX", "PNG", "PPM"),
    *("PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
"""What Pillow decodes in this process: EPS and WMF start other programs, FLI and MPEG are films."""
ONE_PICTURE = ("MPO", "PSD", "ICNS", "ICO")  # further frames are thumbnails, gain maps or layers
LARGEST_FILE = 2**30

Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageItem:
    """One image, or a part of one.

    Attributes:
        name: unique in its data set.
        source: names it in messages.
        read: reads the bytes of its file.
        is_photo: a user's photo, which must show something; a part of a larger image need not.
        whole: the photo that it is a part of; None for a whole photo.
        window: which part, as (x, y, width, height) in pixels of the cropped photo.
    """

    name: str
    source: str
    read: Callable[[], bytes]
    is_photo: bool = False
    whole: "ImageItem | None" = None
    window: Crop | None = None


def file_item(file: Path, name: str | None = None) -> ImageItem:
    """Return the photo in a file, called `name` or else as the file."""
    return ImageItem(name or file.name, str(file), partial(_read_file, file), is_photo=True)


def _read_file(file: Path) -> bytes:
    """Return the bytes of a regular file: a pipe or a device could block for ever."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{file} is not a regular file; name a file with an image")
    if status.st_size > LARGEST_FILE:
        raise DataError(f"{file} has {status.st_size / 2**30:.1f} GB, at most 1 is read; scale the image down")
    return file.read_bytes()


@cache
def formats() -> tuple[str, ...]:
    """Return the names of the formats that are read, as far as this version of Pillow has them."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def decode(item: ImageItem, data: bytes | None = None) -> Image.Image:
    """Return the image upright and RGB, however it is stored; transparent pixels become white, 16 bits become 8.

    Args:
        item: the image to decode.
        data: its bytes; None reads them.

    Raises:
        DataError: unreadable, truncated, empty, animated, or so large that it may be a decompression bomb.
    """
    data = read_bytes(item) if data is None else data
    return _open(item, data, lambda image: _rgb(image, data, item.source))


def _open(item: ImageItem, data: bytes, read: Callable[[Image.Image], Result]) -> Result:
    if not data:
        raise DataError(f"{item.source} is empty (0 bytes); remove it, or copy it again")
    try:
        with without_bomb_warning(), Image.open(BytesIO(data), formats=formats()) as image:
            _check_stored(image, item.source)
            return read(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{item.source} is too large to decode safely ({error}); scale it down") from error
    except Exception as error:  # decoders raise any error on damaged files: TypeError, struct.error
        raise DataError(
            f"{item.source} cannot be read as an image ({brief(error)}); remove it, or copy it again"
        ) from error


@contextmanager
def without_bomb_warning() -> Iterator[None]:
    """Hide Pillow's warning about large images; it still refuses much larger ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def decode_mask(item: ImageItem) -> NDArray[np.bool_]:
    """Return the pixels that a mask marks, (H, W): those not 0; in a lossy file (JPEG), those at least half bright.

    Transparent pixels mark nothing. Integers of any width may stand for kinds of defects.

    Raises:
        DataError: as `decode`.
    """
    data = read_bytes(item)
    return _open(item, data, lambda image: _marked(image, data, item.source))


def _marked(stored: Image.Image, data: bytes, source: str) -> NDArray[np.bool_]:
    cut, image = is_cut(stored, data), ImageOps.exif_transpose(stored)
    if cut and not is_deep(image):
        raise DataError(f"{source} is a mask of 16-bit colour; export it as grey, or with 8 bits")
    if is_deep(image):
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


def brief(error: Exception) -> str:
    """Return why a decoder refused a file, in few words."""
    return "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)


def _check_stored(image: Image.Image, source: str) -> None:
    frames = 1 if image.format in ONE_PICTURE else getattr(image, "n_frames", 1)
    if frames > 1:
        raise DataError(f"{source} holds {frames} frames, expected 1; export one of them as a single image")
    if is_planar(image):
        raise DataError(f"{source} holds 16-bit colour in separate planes; export it with 8 bits, or as PNG")


def _rgb(stored: Image.Image, data: bytes, source: str) -> Image.Image:
    cut, image = is_cut(stored, data), ImageOps.exif_transpose(stored)
    if is_deep(image):
        return from_16_bits(image, source)
    picture = _opaque(image, source)
    if cut:
        check_range(np.asarray(picture).astype(np.float64), source)
    return picture


def _opaque(image: Image.Image, source: str) -> Image.Image:
    """Return the image on white, as RGB."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    if layered.getchannel("A").getextrema()[1] == 0:
        raise DataError(f"{source} is fully transparent; export it without transparency")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
