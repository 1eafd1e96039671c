"""The shape in which every reader returns a data set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from normalgen.data.counts import Counts
from normalgen.data.labels import GOOD, FolderLabel
from normalgen.data.marks import Marks, marks_at, no_marks
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, decode_mask
from normalgen.images.images import Images, to_tensor
from normalgen.images.peek import upright_size

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GOOD", "Category", "TestImage", "category_noun", "check_name"]


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

    def marked(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return where this image, of (width, height) `size`, is anomalous: bool (height, width).

        Raises:
            DataError: the image is anomalous, and its mask is missing, unreadable, of another size, or marks nothing.
        """
        if self.mask is None:
            if self.label:
                raise DataError(f"{self.image.name} is anomalous ({self.kind}) and has no mask")
            return np.zeros(size[::-1], bool)
        marked = decode_mask(self.mask)
        own = marked.shape[::-1]
        if own != size:
            raise DataError(f"{self.mask.source} has {own} pixels and its image {size}; they must agree")
        if self.label and not marked.any():
            raise DataError(f"{self.mask.source} marks nothing, but its image is anomalous: {self.kind}")
        return marked

    def marks(self, size: int) -> Marks:
        """Return the mask squashed to `size` pixels; no region is lost. Reads no pixels of the image.

        Raises:
            DataError: as `marked`, or the image cannot be read.
        """
        if self.mask is None and not self.label:
            return no_marks(size)
        return marks_at(self.marked(upright_size(self.image)), size)

    def load(self, size: int) -> tuple[Tensor, Tensor]:
        """Return the image (3, size, size) in [0, 1] and its mask (size, size) of 0 and 1, as `marks` squashes it.

        Raises:
            DataError: as `marks`.
        """
        import torch

        return to_tensor(Images([self.image])[0], size), torch.from_numpy(self.marks(size).mask).float()


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
        folders: what each folder was taken for; empty where the data set's layout says it.
    """

    dataset: str
    name: str
    noun: str
    normals: Images
    tests: tuple[TestImage, ...] = ()
    notes: tuple[str, ...] = ()
    folders: tuple[FolderLabel, ...] = ()

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


def check_name(name: str) -> str:
    """Return `name`, if it can name a folder on any system.

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
    """Return the noun of a category that names none: its name with spaces, "metal_nut" -> "metal nut"."""
    return name.replace("-", " ").replace("_", " ").strip()
