"""Images: lazy, at their native resolution, safely decoded, upright, RGB.

Everywhere a tensor of images is float32 (N, 3, S, S) in [0, 1]. This module converts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from normalgen.errors import DataError
from normalgen.images.content import check_content
from normalgen.images.crop import Crop, crop_box, cropped
from normalgen.images.decode import ImageItem, decode
from normalgen.images.listing import photo_files, photo_items
from normalgen.images.peek import upright_size
from normalgen.images.read_files import ReadFiles

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Images",
    "Photo",
    "is_grey",
    "pixel_digest",
    "sized",
    "stacked",
    "thumbnail",
    "to_pil",
    "to_tensor",
]


@dataclass(frozen=True)
class Photo:
    """A decoded image in reduced sizes.

    Attributes:
        name: unique in its data set.
        digest: SHA-256 of the bytes as stored.
        crop: as in `Images`.
        width: in pixels, upright and cropped, before the reduction.
        height: as `width`.
        pixels: uint8 (3, S, S), squashed to the square with an antialiased bicubic filter.
        picture: RGB in its original proportions, for people; None unless requested.
        window: which part of the cropped photo it is, as (x, y, width, height); None for all of it.
        image: RGB, not reduced; None unless requested.
    """

    name: str
    digest: str
    crop: str | Crop | None
    width: int
    height: int
    pixels: Tensor
    picture: Image.Image | None = None
    window: Crop | None = None
    image: Image.Image | None = None

    @property
    def key(self) -> str:
        """The image's digest, crop and window, which seed its draws."""
        return f"{self.digest}-{self.crop}" + (f"-{self.window}" if self.window else "")


class Images(Sequence[Image.Image]):
    """A sequence of PIL images (RGB, upright), decoded on access.

    Args:
        items: the images to read.
        crop: None for the whole image, "center" for the largest middle square, or (x, y, width, height) in pixels.
        known: cache of file contents, shared by all parts of the sequence.
    """

    def __init__(
        self, items: Sequence[ImageItem], crop: str | Crop | None = None, known: ReadFiles | None = None
    ) -> None:
        self.items = tuple(items)
        self.crop = crop
        self._known = known or ReadFiles(keeps=False)
        self._opened: tuple[ImageItem, Image.Image] | None = None

    @classmethod
    def from_folder(cls, folder: Path) -> Images:
        """Return the images directly in `folder`, sorted by name; ignores hidden files and files that are not images.

        An image may have any ending, or none. Reading one that shows nothing raises `DataError`.

        Raises:
            DataError: the folder does not exist, is not readable, or holds no image.
        """
        try:
            files = photo_files(folder)
        except FileNotFoundError:
            raise DataError(f"{folder} does not exist; name a folder of normal images") from None
        except NotADirectoryError:
            raise DataError(f"{folder} is a file, not a folder; name a folder of normal images") from None
        except OSError as error:
            raise DataError(f"{folder} cannot be read ({error.strerror}); name a folder of normal images") from error
        if not files:
            raise DataError(f"no images in {folder}{_hint(folder)}; name a folder of PNG, JPEG, TIFF or other images")
        return cls(photo_items(files, folder))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]
        item = self.items[index]
        if item.whole is None or item.window is None:
            return self._open(item)
        if self._opened is None or self._opened[0] != item.whole:
            self._opened = item.whole, self._open(item.whole)
        return cropped(self._opened[1], item.window, item.source)

    def _open(self, item: ImageItem) -> Image.Image:
        image = cropped(decode(item, self._known.data(item)), self.crop, item.source)
        if item.is_photo:
            check_content(image, item.source)
        return image

    def take(self, indices: Sequence[int]) -> Images:
        """Return the images at `indices`, in that order."""
        return Images([self.items[i] for i in indices], self.crop, self._known)

    def cut(self, items: Sequence[ImageItem]) -> Images:
        """Return parts of these images, as `normalgen.images.tiles` names them."""
        return Images(items, self.crop, self._known)

    def sizes(self) -> list[tuple[int, int]]:
        """Return width and height of each image, upright and cropped; decodes nothing.

        Raises:
            DataError: an image's header cannot be read, or the crop extends beyond it.
        """
        return [crop_box(upright_size(item, self._known.peek(item)), self.crop, item.source)[2:] for item in self.items]

    def cropped(self, crop: str | Crop | None) -> Images:
        """Return the same images with `crop`, applied when they are read."""
        return Images(self.items, crop, self._known)

    def kept(self) -> Images:
        """Return the same images, each read and decoded once and kept in memory. For references, not queries."""
        return self if self._known.keeps else Images(self.items, self.crop, ReadFiles(keeps=True))

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return [item.name for item in self.items]

    def hashes(self) -> list[str]:
        """Return the SHA-256 of each image's stored bytes; decodes nothing."""
        return [self._known.digest(item) for item in self.items]

    def manifest(self) -> list[dict[str, str]]:
        """Return name and SHA-256 of each image, as plain data."""
        return [{"name": name, "sha256": digest} for name, digest in zip(self.names, self.hashes(), strict=True)]

    def photo(self, index: int, size: int, side: int = 0, *, whole: bool = False) -> Photo:
        """Return one image squashed to `size`.

        Args:
            index: which image.
            size: width and height, in pixels.
            side: the longer side of its `picture`, in pixels at most; 0 makes none.
            whole: whether to keep its `image`, too.

        Raises:
            DataError: the image cannot be read, or the crop extends beyond it.
        """
        item = self.items[index]
        known = None if side or whole else self._known.photos.get((item, self.crop, size))
        if known is not None:
            return known
        image = self[index]
        photo = Photo(
            name=item.name,
            digest=self._known.digest(item),
            crop=self.crop,
            width=image.width,
            height=image.height,
            pixels=_squashed(image, size),
            picture=thumbnail(image, side) if side else None,
            window=item.window,
            image=image if whole else None,
        )
        if self._known.keeps:
            self._known.photos[item, self.crop, size] = replace(photo, picture=None, image=None)
        return photo

    def photos(self, size: int, batch: int = 16, *, whole: bool = False) -> Iterator[list[Photo]]:
        """Yield all images squashed to `size`, in order, up to `batch` at a time; `whole` as for `photo`."""
        for start in range(0, len(self), batch):
            yield [self.photo(i, size, whole=whole) for i in range(start, min(start + batch, len(self)))]
        self._opened = None

    def batches(self, size: int, batch: int = 16) -> Iterator[Tensor]:
        """Yield tensors (up to `batch`, 3, size, size) in [0, 1], in order; each image is squashed to the square."""
        return map(stacked, self.photos(size, batch))

    def pixels(self, size: int) -> Tensor:
        """Return all images at once, uint8 (N, 3, size, size). For references, not queries."""
        import torch

        return torch.stack([photo.pixels for photos in self.photos(size) for photo in photos])

    def smallest_detail(self, size: int) -> int:
        """Return the smallest width in source pixels that a resize to `size` leaves visible (two pixels wide)."""
        longest = max(max(photo.width, photo.height) for photos in self.photos(size) for photo in photos)
        return math.ceil(2 * longest / size)


def pixel_digest(image: Image.Image) -> str:
    """Return the SHA-256 of the pixels; copies of an image have the same, whatever their file names and formats."""
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def to_tensor(image: Image.Image, size: int) -> Tensor:
    """Return a PIL image as (3, size, size) in [0, 1], squashed to the square with an antialiased bicubic filter."""
    return _squashed(image, size).float() / 255


def _squashed(image: Image.Image, size: int) -> Tensor:
    import torch

    squashed = image.resize((size, size), Image.Resampling.BICUBIC) if image.size != (size, size) else image
    return torch.from_numpy(np.array(squashed)).permute(2, 0, 1).contiguous()


def stacked(photos: Sequence[Photo]) -> Tensor:
    """Return the pixels of the photos as one batch, (N, 3, S, S) in [0, 1]."""
    import torch

    return torch.stack([photo.pixels for photo in photos]).float() / 255


def is_grey(images: Tensor) -> bool:
    """Whether images (N, 3, H, W), uint8, show no colour.

    They are grey if the channels differ by less than 2 levels on average, and by more than 16 levels in less than a
    thousandth of the pixels. A small red mark on a grey part is colour.
    """
    spread = images.amax(1).float() - images.amin(1).float()
    return bool(spread.mean() < 2 and (spread > 16).float().mean() < 1e-3)


def to_pil(image: Tensor) -> Image.Image:
    """Return (3, H, W), uint8 or in [0, 1], as an 8-bit PIL image, with rounded values."""
    import torch

    values = image if image.dtype == torch.uint8 else (image.clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def thumbnail(picture: Image.Image, side: int) -> Image.Image:
    """Return the picture scaled down to at most `side` pixels on its longer side."""
    factor = min(1.0, side / max(picture.size))
    return sized(picture, (max(1, round(picture.width * factor)), max(1, round(picture.height * factor))))


def sized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture at this (width, height), whatever its proportions."""
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def _hint(folder: Path) -> str:
    inner = [folder / part for part in ("train/good", "good") if (folder / part).is_dir()]
    return f"; name {inner[0]} if it holds the normal images" if inner else ""
