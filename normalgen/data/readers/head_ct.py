"""HeadCT (Kaggle, "Head CT - hemorrhage"): `labels.csv` and `head_ct/head_ct/NNN.png`; 100 images each."""

from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from normalgen.data.category import Category, TestImage
from normalgen.data.layout import child
from normalgen.data.split import split
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.io.paths import inside
from normalgen.io.records import read_table

__all__ = ["fits_head_ct", "head_ct"]


class _Row(TypedDict):
    id: str
    hemorrhage: Literal["0", "1"]


def fits_head_ct(root: Path) -> bool:
    """Return whether `root` holds the list or the images."""
    table = root / "labels.csv"
    if table.is_file():
        with table.open("rb") as file:
            return b"hemorrhage" in file.readline(100)
    return any((root / inner / "000.png").is_file() for inner in ("head_ct", "head_ct/head_ct"))


def head_ct(root: Path) -> Category:
    """Return the images that the list calls 0, split 75 to 25, and those it calls 1 as anomalous.

    Raises:
        DataError: the list or an image is missing.
    """
    labels = _labels(root / "labels.csv")
    folder = child(root, "head_ct")
    normals, good = split(_item(folder, number) for number, label in labels if label == 0)
    tests = [TestImage(_item(folder, number), "hemorrhage") for number, label in labels if label == 1]
    return Category("head-ct", "head-ct", "head CT", normals, (*good, *tests))


def _item(folder: Path, number: int) -> ImageItem:
    file = inside(folder, f"{number:03d}.png", folder / "labels.csv")
    if not file.is_file():
        raise DataError(f"labels.csv names {file}, which is not there")
    return file_item(file)


def _labels(table: Path) -> list[tuple[int, int]]:
    remedy = "download it again"
    rows = read_table(table, _Row, remedy)
    try:
        labels = [(int(row["id"]), int(row["hemorrhage"])) for row in rows]
    except ValueError as error:
        raise DataError(f"{table} must number its images ({error}); {remedy}") from error
    if len(dict(labels)) < len(labels):
        raise DataError(f"{table} names an image twice, so it could be trained on and tested; {remedy}")
    return labels
