"""AITEX fabrics, AFID (Silvestre-Blanes et al. 2019): `NODefect_images`, `Defect_images`, `Mask_images`.

As InCTRL (Zhu and Pang 2024): columns 256 pixels wide; of images with defects only the columns in which something is
marked; normal columns are split 75 to 25. The published files are not uniform: folders may be doubled
(`Defect_images/Defect_images`) or spelt `NoDefect_images`, some masks come in parts `_mask1`, `_mask2` (their union
counts), one image has none (left out), and one is narrower than the others (so is its last column). Masks are decoded
when listing, images are not.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from normalgen.data.category import Category, TestImage
from normalgen.data.layout import child, found_in, image_files, subfolder
from normalgen.data.split import split
from normalgen.data.windows import columns, marks, png, window
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.peek import upright_size

__all__ = ["aitex", "fits_aitex"]

WIDTH = 256
NORMAL, DEFECT, MASK = ("nodefect_images",), ("defect_images",), ("mask_images",)
KINDS = {
    "002": "broken end",
    "006": "broken yarn",
    "010": "broken pick",
    "016": "weft curling",
    "019": "fuzzyball",
    "022": "cut selvage",
    "023": "crease",
    "025": "warp ball",
    "027": "knots",
    "029": "contamination",
    "030": "nep",
    "036": "weft crack",
}


def fits_aitex(root: Path) -> bool:
    """Return whether `root` holds a folder of images with or without defects."""
    return any(subfolder(root, *names) is not None for names in (NORMAL, DEFECT))


def aitex(root: Path) -> Category:
    """Return all columns, called `FABRIC_IMAGE_CC.png` and `IMAGE_CC.png` with CC from 00 at the left.

    Raises:
        DataError: a folder is missing or empty, or a mask is not as large as its image.
    """
    folders = [child(root, *names) for names in (NORMAL, DEFECT, MASK)]
    files = [image_files(folder, deep=True) for folder in folders]
    for folder, inside in zip(folders, files, strict=True):
        if not inside:
            raise DataError(f"{folder} must hold images, found {found_in(folder)}")
    normals = [item for stem, file in _named(files[0], folders[0]) for item in _columns(file, stem)]
    masks = _by_image(files[2])
    tests = [test for file in files[1] for test in _defects(file, masks.get(file.stem, []))]
    notes = [f"{file.name} has no mask and is left out" for file in files[1] if file.stem not in masks]
    kept, good = split(normals)
    return Category("aitex", "aitex", "fabric", kept, (*good, *tests), tuple(notes))


def _named(files: list[Path], folder: Path) -> list[tuple[str, Path]]:
    """Return each file with its fabric's and its own name.

    Raises:
        DataError: two bear the same.
    """
    named: dict[str, Path] = {}
    for file in files:
        stem = file.stem if file.parent == folder else f"{file.parent.name}_{file.stem}"
        if stem in named:
            raise DataError(f"{file} and {named[stem]} are the same image twice; remove one")
        named[stem] = file
    return list(named.items())


def _columns(file: Path, stem: str) -> list[ImageItem]:
    size = upright_size(file_item(file))
    boxes = columns(*size, WIDTH)
    return [window(file_item(file), box, size, f"{stem}_{index:02d}.png") for index, box in enumerate(boxes)]


def _by_image(files: list[Path]) -> dict[str, list[Path]]:
    """Return the masks of each image: `x_mask.png`, or `x_mask1.png` and `x_mask2.png`."""
    masks: dict[str, list[Path]] = {}
    for file in files:
        masks.setdefault(file.stem.partition("_mask")[0], []).append(file)
    return masks


def _defects(file: Path, masks: list[Path]) -> list[TestImage]:
    if not masks:
        return []
    size = upright_size(file_item(file))
    marked = _union(file, size, masks)
    code = file.stem.split("_")[1] if "_" in file.stem else ""
    kind = KINDS.get(code, "defect")
    tests = []
    for item, (left, _, right, _) in zip(_columns(file, file.stem), columns(*size, WIDTH), strict=True):
        part = marked[:, left:right]
        if part.any():
            name = item.name.replace(".png", "_mask.png")
            mask = ImageItem(name, f"{masks[0]} [{left}:{right}]", partial(png, part.astype(np.uint8) * 255))
            tests.append(TestImage(item, kind, mask))
    return tests


def _union(file: Path, size: tuple[int, int], masks: list[Path]) -> NDArray[np.bool_]:
    parts = [marks(mask) for mask in masks]
    for mask, part in zip(masks, parts, strict=True):
        if part.shape != size[::-1]:
            raise DataError(f"{mask} has {part.shape[::-1]} pixels and {file.name} {size}; they must agree")
    return np.asarray(np.stack(parts).any(0))
