"""KolektorSDD (Tabernik et al. 2020): `kosNN/PartM.jpg` with `PartM_label.bmp`, metal surfaces of commutators.

As InCTRL (Zhu and Pang 2024): each image is cut into three tiles of equal height, a tile is anomalous if anything in it
is marked, and normal tiles are split 75 to 25. Masks are decoded when listing, images are not.
"""

from pathlib import Path

from normalgen.data.category import Category, TestImage
from normalgen.data.layout import found_in, same_stem
from normalgen.data.split import split
from normalgen.data.windows import marks, thirds, window
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item

__all__ = ["fits_ksdd", "ksdd"]


def fits_ksdd(root: Path) -> bool:
    """Return whether `root` holds folders `kosNN`."""
    return any(path.is_dir() for path in root.glob("kos[0-9]*"))


def ksdd(root: Path) -> Category:
    """Return all tiles, called `kosNN_PartM_T.png` with T from 0 at the top.

    Raises:
        DataError: no images, or one without its mask.
    """
    normals: list[ImageItem] = []
    tests: list[TestImage] = []
    files = sorted(root.glob("kos[0-9]*/Part*.jpg"))
    if not files:
        raise DataError(f"{root} must hold kosNN/PartM.jpg, found {found_in(root)}")
    for file in files:
        mask = same_stem(file.parent, f"{file.stem}_label")
        if mask is None:
            raise DataError(f"{file} has no mask; expected {file.with_name(f'{file.stem}_label.bmp')}")
        marked = marks(mask)
        size = (marked.shape[1], marked.shape[0])
        for index, box in enumerate(thirds(*size)):
            name = f"{file.parent.name}_{file.stem}_{index}"
            tile = window(file_item(file), box, size, f"{name}.png")
            if marked[box[1] : box[3]].any():
                tests.append(TestImage(tile, "defect", window(file_item(mask), box, size, f"{name}_mask.png")))
            else:
                normals.append(tile)
    kept, good = split(normals)
    return Category("ksdd", "ksdd", "metal surface", kept, (*good, *tests))
