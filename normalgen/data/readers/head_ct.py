"""HeadCT (Kaggle, "Head CT - hemorrhage"): `labels.csv` and `head_ct/head_ct/NNN.png`; 100 images each."""

import csv
from pathlib import Path

from normalgen.data.category import Category, TestImage
from normalgen.data.layout import child
from normalgen.data.split import split
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item

__all__ = ["fits_head_ct", "head_ct"]


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
    file = folder / f"{number:03d}.png"
    if not file.is_file():
        raise DataError(f"labels.csv names {file}, which is not there")
    return file_item(file)


def _labels(table: Path) -> list[tuple[int, int]]:
    if not table.is_file():
        raise DataError(f"{table} is missing")
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            # The published head is "id, hemorrhage", with a space.
            rows = list(csv.DictReader(file, skipinitialspace=True))
        return [(int(row["id"]), int(row["hemorrhage"])) for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{table} must be a list with the head 'id, hemorrhage' ({error!r})") from error
