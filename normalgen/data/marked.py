"""Images of which it is known where they are anomalous: data sets in MVTec layout, with masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.data.category import category_noun
from normalgen.errors import DataError
from normalgen.images import SUFFIXES, ImageItem, Images, to_tensor

__all__ = ["MarkedImage", "marked_images"]


@dataclass(frozen=True)
class MarkedImage:
    """An image of which it is known where it is anomalous.

    Attributes:
        image: what it shows.
        mask: as large, anomalous where it is not 0; None for a normal image.
        noun: what the object is called.
    """

    image: ImageItem
    mask: ImageItem | None
    noun: str

    def load(self, size: int) -> tuple[Tensor, Tensor]:
        """The image (3, size, size) in [0, 1] and its mask (size, size) of 0 and 1, both squashed.

        Raises:
            DataError: unreadable, or the mask is not as large as the image.
        """
        image = Images([self.image])[0]
        if self.mask is None:
            return to_tensor(image, size), torch.zeros(size, size)
        mask = Images([self.mask])[0]
        if mask.size != image.size:
            raise DataError(f"{self.mask.source} has {mask.size} pixels and its image {image.size}; they must agree")
        marked = (torch.from_numpy(np.array(mask)).amax(2) > 0).float()
        return to_tensor(image, size), (interpolate(marked[None, None], (size, size), mode="area")[0, 0] > 0.5).float()


def marked_images(root: Path) -> list[MarkedImage]:
    """The test images with masks of a data set in MVTec layout, its normal test images among them.

    That is ROOT/CATEGORY/test/{good,DEFECT}/x.png and ROOT/CATEGORY/ground_truth/DEFECT/x_mask.png (or x.png). Nouns
    are the categories' names.

    Raises:
        DataError: no such folder, no masks, or an anomalous image without one.
    """
    if not root.is_dir():
        raise DataError(f"the data folder {root} does not exist; name the folder that holds CATEGORY/test")
    found: list[MarkedImage] = []
    for category in sorted(path.parent for path in root.glob("*/ground_truth") if (path.parent / "test").is_dir()):
        for kind in sorted(path for path in (category / "test").iterdir() if path.is_dir()):
            items = Images.from_folder(kind).items
            masks = [None if kind.name == "good" else _mask(category / "ground_truth" / kind.name, i) for i in items]
            found += [MarkedImage(i, m, category_noun(category.name)) for i, m in zip(items, masks, strict=True)]
    if not any(each.mask for each in found):
        raise DataError(
            f"no masks in {root}; expected MVTec layout: {root}/CATEGORY/test/DEFECT/x.png and "
            f"{root}/CATEGORY/ground_truth/DEFECT/x_mask.png"
        )
    return found


def _mask(folder: Path, image: ImageItem) -> ImageItem:
    stem = Path(image.name).stem
    names = [f"{stem}{end}{suffix}" for end in ("_mask", "") for suffix in sorted(SUFFIXES)]
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        raise DataError(f"{image.source} has no mask; expected {folder / f'{stem}_mask.png'}")
    return ImageItem(file.name, str(file), file.read_bytes)
