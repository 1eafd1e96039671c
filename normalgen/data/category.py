"""The one shape that every reader gives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from normalgen.data.counts import Counts
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, decode_mask
from normalgen.images.images import Images, to_tensor

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GOOD", "NORMAL", "Category", "TestImage", "category_noun", "check_name", "kind_of"]

GOOD = "good"
NORMAL = ("good", "ok", "normal")  # what people call folders of good parts


@dataclass(frozen=True)
class TestImage:
    """An image of which it is known whether it is anomalous, and perhaps where.

    Attributes:
        image: what it shows.
        kind: "good", or the kind of defect.
        mask: as large as the image, anomalous where `decode_mask` says so; None where there is none.
    """

    __test__ = False  # not for pytest to collect

    image: ImageItem
    kind: str
    mask: ImageItem | None = None

    @property
    def label(self) -> int:
        """1 for an anomalous image, 0 for a normal one."""
        return int(self.kind != GOOD)

    def marked(self, image: Image.Image) -> NDArray[np.bool_]:
        """Where `image`, which is this one decoded, is anomalous: bool (height, width); nowhere if it is normal.

        Raises:
            DataError: anomalous without a mask, or the mask is unreadable or not as large as the image.
        """
        if self.mask is None:
            if self.label:
                raise DataError(f"{self.image.source} is anomalous ({self.kind}) and has no mask")
            return np.zeros((image.height, image.width), bool)
        marked = decode_mask(self.mask)
        size = marked.shape[::-1]
        if size != image.size:
            raise DataError(f"{self.mask.source} has {size} pixels and its image {image.size}; they must agree")
        return marked

    def load(self, size: int) -> tuple[Tensor, Tensor]:
        """The image (3, size, size) in [0, 1] and its mask (size, size) of 0 and 1, both squashed.

        Raises:
            DataError: unreadable, or as `marked`.
        """
        import torch
        from torch.nn.functional import interpolate

        image = Images([self.image])[0]
        marked = torch.from_numpy(self.marked(image)).float()[None, None]
        return to_tensor(image, size), (interpolate(marked, (size, size), mode="area")[0, 0] > 0.5).float()

    def mask_at(self, size: int) -> Tensor:
        """The mask as `load` gives it; of a normal image without one, nothing is read.

        Raises:
            DataError: as `load`.
        """
        import torch

        return self.load(size)[1] if self.label or self.mask else torch.zeros(size, size)


@dataclass(frozen=True)
class Category:
    """One kind of part.

    Attributes:
        dataset: such as "elpv" or "mvtec"; with `name`, it seeds the choice of shots.
        name: such as "elpv-mono"; names folders.
        noun: the object in prompts, such as "solar cell".
        normals: the normal images to choose references from.
        tests: the images that detectors are measured on, none of them among `normals`; empty where there are none.
        notes: what of the published files was left out, and why.
    """

    dataset: str
    name: str
    noun: str
    normals: Images
    tests: tuple[TestImage, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def queries(self) -> Images:
        """The test images, in order."""
        return Images([test.image for test in self.tests])

    @property
    def labels(self) -> list[int]:
        """1 for each anomalous test image, 0 for each normal one."""
        return [test.label for test in self.tests]

    @property
    def counts(self) -> Counts:
        """How many images there are."""
        anomalous = sum(self.labels)
        return Counts(len(self.normals), len(self.tests) - anomalous, anomalous)


def kind_of(folder: str) -> str:
    """What a folder's name says of the images in it: "good" where people call good parts so, else the name itself."""
    return GOOD if folder.lower() in NORMAL else folder


def check_name(name: str) -> str:
    """`name`, if it can name a folder on any system.

    Raises:
        DataError: empty, `..`, or with characters other than letters, digits, space, `_`, `-`, `.`.
    """
    if not re.fullmatch(r"\w[\w .-]{0,99}", name) or ".." in name or name != name.strip(" ."):
        raise DataError(
            f"a category name has letters, digits, ' ', '-', '_' and '.' only, at most 100, got {name!r}; "
            "give another with --category"
        )
    return name


def category_noun(name: str) -> str:
    """The noun of a category that names none: its name with spaces, "metal_nut" -> "metal nut"."""
    return name.replace("-", " ").replace("_", " ").strip()
