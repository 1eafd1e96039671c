"""The part of each photo that is used: `--crop`."""

from collections.abc import Sequence

from PIL import Image

from normalgen.errors import DataError

__all__ = ["Crop", "as_crop", "crop_box", "cropped", "parse_crop"]

Crop = tuple[int, int, int, int]


def parse_crop(text: str) -> str | Crop:
    """Parse "center" or "x,y,width,height" as a crop.

    Raises:
        DataError: anything else.
    """
    if text == "center":
        return text
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"crop must be 'center' or 'x,y,width,height' in pixels, got {text!r}") from None
    if min(x, y) < 0 or min(width, height) < 1:
        raise DataError(f"crop must have x, y of at least 0 and width, height of at least 1, got {text!r}")
    return x, y, width, height


def as_crop(recorded: str | Sequence[int] | None) -> str | Crop | None:
    """Return the crop that a record holds.

    Raises:
        DataError: it is none.
    """
    if recorded is None:
        return None
    return parse_crop(recorded if isinstance(recorded, str) else ",".join(map(str, recorded)))


def cropped(image: Image.Image, crop: str | Crop | None, source: str) -> Image.Image:
    """Return the part of `image` that `crop` names; `source` names the image in messages.

    Raises:
        DataError: the crop extends beyond the image.
    """
    if crop is None:
        return image
    x, y, width, height = crop_box(image.size, crop, source)
    return image.crop((x, y, x + width, y + height))


def crop_box(size: tuple[int, int], crop: str | Crop | None, source: str) -> Crop:
    """Return the part of an image of `size` (width, height) that `crop` names; arguments and errors as `cropped`."""
    if crop is None:
        return 0, 0, *size
    if isinstance(crop, str):
        side = min(size)
        return (size[0] - side) // 2, (size[1] - side) // 2, side, side
    x, y, width, height = crop
    if x + width > size[0] or y + height > size[1]:
        raise DataError(f"crop {x},{y},{width},{height} extends beyond {source}, which is {size[0]} x {size[1]} pixels")
    return crop
