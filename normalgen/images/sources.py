"""Images from a folder, a file, PIL images or an array."""

from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.images import Images
from normalgen.images.listing import need_photo

__all__ = ["ImageSource", "as_images", "png"]

ImageSource = Images | Path | str | Sequence[Image.Image] | NDArray[np.uint8]


def as_images(source: ImageSource) -> Images:
    """Return `source` as `Images`; images in memory are named "00000", "00001" and so on.

    Args:
        source: images, the path of a folder or of one photo, a list of PIL images, or an array (N, H, W, 3), uint8.

    Raises:
        DataError: the source is empty, or none of these.
    """
    if isinstance(source, Images):
        return source
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            return Images.from_folder(path)
        need_photo(path)
        return Images([file_item(path)])
    if isinstance(source, np.ndarray) and (source.ndim != 4 or source.shape[3] != 3 or source.dtype != np.uint8):
        raise DataError(f"an array of images must be (N, H, W, 3) of uint8, got {source.shape} and {source.dtype}")
    pictures = [Image.fromarray(item) if isinstance(item, np.ndarray) else item for item in source]
    if not all(isinstance(picture, Image.Image) for picture in pictures):
        raise DataError("images must be a folder, a file, PIL images or an array (N, H, W, 3) of uint8")
    return Images(
        [
            ImageItem(f"{i:05d}", f"image {i}", partial(png, picture), is_photo=True)
            for i, picture in enumerate(pictures)
        ]
    )


def png(picture: Image.Image) -> bytes:
    """Return the picture as uncompressed PNG, so that the bytes do not depend on the zlib version."""
    buffer = BytesIO()
    picture.save(buffer, "png", compress_level=0)
    return buffer.getvalue()
