"""Images: lazy, at their native resolution, safely decoded, upright, RGB.

One convention everywhere: a tensor of images is float32 (N, 3, S, S) in [0, 1]. Conversion lives here.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from normalgen.errors import DataError
from normalgen.io.atomic import passed_over

__all__ = [
    "SUFFIXES",
    "Crop",
    "ImageItem",
    "Images",
    "decode",
    "decode_mask",
    "is_grey",
    "parse_crop",
    "pixel_digest",
    "to_pil",
    "to_tensor",
]

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"}

Crop = tuple[int, int, int, int]
Seen = TypeVar("Seen")


@dataclass(frozen=True)
class ImageItem:
    """One image: a name that is unique in its data set, where it comes from for messages, and how to get its bytes."""

    name: str
    source: str
    read: Callable[[], bytes]


class Images(Sequence[Image.Image]):
    """A sequence of PIL images (RGB, upright), decoded when asked for.

    Args:
        items: what to read.
        crop: None for the whole image, "center" for the largest middle square, or (x, y, width, height) in pixels.
    """

    def __init__(self, items: Sequence[ImageItem], crop: str | Crop | None = None) -> None:
        self.items = tuple(items)
        self.crop = crop

    @classmethod
    def from_folder(cls, folder: Path) -> "Images":
        """The images directly in `folder`, sorted by name; other files and hidden ones are left alone.

        Raises:
            DataError: no such folder, not readable, or no image in it.
        """
        try:
            inside = [path for path in folder.iterdir() if not path.is_dir()]
        except FileNotFoundError:
            raise DataError(f"{folder} does not exist; name a folder of normal images") from None
        except NotADirectoryError:
            raise DataError(f"{folder} is a file, not a folder; name a folder of normal images") from None
        except OSError as error:
            raise DataError(f"{folder} cannot be read ({error.strerror}); name a folder of normal images") from error
        files = sorted(file for file in inside if file.suffix.lower() in SUFFIXES and not passed_over(file, folder))
        if not files:
            raise DataError(f"no images in {folder} ({', '.join(sorted(SUFFIXES))}){_hint(folder)}")
        odd = next((file.name for file in files if not _is_text(file.name)), None)
        if odd is not None:
            raise DataError(f"the name {odd!r} in {folder} is not valid text; rename the file")
        return cls([ImageItem(file.name, str(file), file.read_bytes) for file in files])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]
        item = self.items[index]
        return _cropped(decode(item), self.crop, item.source)

    def take(self, indices: Sequence[int]) -> "Images":
        """The images at `indices`, in that order."""
        return Images([self.items[i] for i in indices], self.crop)

    def cropped(self, crop: str | Crop | None) -> "Images":
        """The same images, cropped as they are read."""
        return Images(self.items, crop)

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return [item.name for item in self.items]

    def hashes(self) -> list[str]:
        """SHA-256 of each image's bytes as stored."""
        return [hashlib.sha256(_bytes(item)).hexdigest() for item in self.items]

    def batches(self, size: int, batch: int = 16) -> Iterator[Tensor]:
        """Tensors (up to `batch`, 3, size, size) in [0, 1], in order; each image squashed to the square."""
        for start in range(0, len(self), batch):
            stop = min(start + batch, len(self))
            yield torch.stack([to_tensor(self[i], size) for i in range(start, stop)])

    def pixels(self, size: int) -> Tensor:
        """All images at once, uint8 (N, 3, size, size): for references, not for queries."""
        return torch.cat([(batch * 255).round().to(torch.uint8) for batch in self.batches(size)])

    def smallest_detail(self, size: int) -> int:
        """Width in source pixels of the smallest defect that a resize to `size` leaves visible (two pixels wide)."""
        return max(math.ceil(2 * max(image.size) / size) for image in self)

    def elongation(self) -> float:
        """The longer side of an image as a multiple of the shorter, the greatest there is."""
        return max(max(image.size) / min(image.size) for image in self)


def pixel_digest(image: Image.Image) -> str:
    """SHA-256 of the pixels: that of all copies of a picture, whatever their files' names and formats."""
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def decode(item: ImageItem) -> Image.Image:
    """The image upright and RGB, whatever it was stored as; transparent pixels become white, 16 bits become 8.

    Raises:
        DataError: unreadable, truncated, empty, animated, or so large that it may be a decompression bomb.
    """
    return _open(item, lambda image: _rgb(ImageOps.exif_transpose(image), item.source))


def _open(item: ImageItem, look: Callable[[Image.Image], Seen]) -> Seen:
    from io import BytesIO

    data = _bytes(item)
    if not data:
        raise DataError(f"{item.source} is empty (0 bytes); remove it or copy it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data)) as image:
                _check(image, item.source)
                return look(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{item.source} is too large to decode safely ({error}); scale it down") from error
    except Exception as error:  # damaged files make decoders raise whatever they like: TypeError, struct.error
        raise DataError(
            f"{item.source} cannot be read as an image ({_brief(error)}); remove it or copy it again"
        ) from error


def decode_mask(item: ImageItem) -> NDArray[np.bool_]:
    """Where a mask marks, (H, W): where it is not 0; of a lossy file (JPEG), where it is at least half bright.

    Transparent pixels mark nothing, and numbers of any width may stand for kinds of defects.

    Raises:
        DataError: as `decode`.
    """
    return _open(item, _marked)


def _marked(stored: Image.Image) -> NDArray[np.bool_]:
    image = ImageOps.exif_transpose(stored)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.asarray(np.asarray(image) != 0)
    if "A" in image.getbands() or "transparency" in image.info:
        values = np.asarray(image.convert("RGBA"))
        return np.asarray(values[..., :3].any(2) & (values[..., 3] > 0))
    least = 128 if stored.format in ("JPEG", "MPO") else 1
    return np.asarray((np.asarray(image.convert("RGB")) >= least).any(2))


def _bytes(item: ImageItem) -> bytes:
    try:
        return item.read()
    except OSError as error:
        raise DataError(f"{item.source} cannot be read ({error.strerror or error})") from error


def _brief(error: Exception) -> str:
    return "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)


def _check(image: Image.Image, source: str) -> None:
    # The further pictures of an MPO, which phones write as .jpg, are thumbnails and gain maps; the first is the photo.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise DataError(f"{source} holds {frames} frames; export the one that is meant as a single image")


def _rgb(image: Image.Image, source: str) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise DataError(f"{source} holds {image.mode} pixels outside 16 bits; export it as 8 or 16 bits")
        if 0 < values.max() < 16384:
            raise DataError(
                f"{source} holds 16-bit pixels of which none is above {values.max():.0f}, as cameras of 10 to 14 bits "
                "write; export it as 8 bits, or scaled to 16"
            )
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return image.convert("RGB")


def parse_crop(text: str) -> str | Crop:
    """ "center" or "x,y,width,height" as a crop.

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


def _cropped(image: Image.Image, crop: str | Crop | None, source: str) -> Image.Image:
    if crop is None:
        return image
    if isinstance(crop, str):
        side = min(image.size)
        x, y, width, height = (image.width - side) // 2, (image.height - side) // 2, side, side
    else:
        x, y, width, height = crop
    if x + width > image.width or y + height > image.height:
        raise DataError(
            f"crop {x},{y},{width},{height} leaves {source}, which is {image.width} x {image.height} pixels"
        )
    return image.crop((x, y, x + width, y + height))


def to_tensor(image: Image.Image, size: int) -> Tensor:
    """A PIL image as (3, size, size) in [0, 1], squashed to the square with an antialiased bicubic filter."""
    squashed = image.resize((size, size), Image.Resampling.BICUBIC) if image.size != (size, size) else image
    return torch.from_numpy(np.array(squashed)).permute(2, 0, 1).float() / 255


def is_grey(images: Tensor) -> bool:
    """Whether images (N, 3, H, W), uint8, show no colour.

    Channels are apart by less than two levels on the mean, and by more than 16 in less than a thousandth of the pixels:
    a small red mark on a grey part is colour.
    """
    spread = images.amax(1).float() - images.amin(1).float()
    return bool(spread.mean() < 2 and (spread > 16).float().mean() < 1e-3)


def to_pil(image: Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] as an 8-bit PIL image, values rounded."""
    values = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _hint(folder: Path) -> str:
    inner = [folder / part for part in ("train/good", "good") if (folder / part).is_dir()]
    return f"; name {inner[0]} if the normal images are there" if inner else ""
