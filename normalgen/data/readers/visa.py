"""VisA (Zou et al. 2022): as downloaded, with its official split `split_csv/1cls.csv`, or converted to MVTec layout."""

from collections import Counter
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from normalgen.data.category import GOOD, Category, TestImage, category_noun
from normalgen.data.counts import PUBLISHED
from normalgen.data.readers.mvtec import mvtec_categories, mvtec_category
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.images import Images
from normalgen.io.paths import inside
from normalgen.io.records import read_table

__all__ = ["NAMES", "fits_visa", "visa_categories", "visa_category"]

NAMES = tuple(PUBLISHED["visa"])
TABLE = "split_csv/1cls.csv"


class _Row(TypedDict):
    object: str
    split: Literal["train", "test"]
    label: Literal["normal", "anomaly"]
    image: str
    mask: str


def fits_visa(root: Path) -> bool:
    """Return whether `root` holds VisA, as downloaded or converted."""
    return (root / TABLE).is_file() or bool(visa_categories(root))


def visa_categories(root: Path) -> list[str]:
    """Return the categories whose folders exist."""
    return [name for name in NAMES if (root / name / "Data").is_dir()] or mvtec_categories(root, NAMES)


def visa_category(root: Path, name: str) -> Category:
    """Return one category; images are called `Normal/x.JPG` and `Anomaly/x.JPG` as downloaded.

    Raises:
        DataError: the table of the split or a file that it names is missing.
    """
    if (root / name / "train").is_dir():
        return mvtec_category(root, name, "visa")
    rows = [row for row in _rows(root / TABLE) if row["object"] == name]
    normals = [_item(root, name, row["image"]) for row in rows if row["split"] == "train"]
    tests = [_test(root, name, row) for row in rows if row["split"] == "test"]
    if not normals or not tests:
        raise DataError(f"{root / TABLE} names {len(normals)} training and {len(tests)} test images of {name}")
    return Category("visa", name, category_noun(name), Images(normals), tuple(tests))


def _test(root: Path, name: str, row: _Row) -> TestImage:
    kind = GOOD if row["label"] == "normal" else "anomaly"
    return TestImage(_item(root, name, row["image"]), kind, None if kind == GOOD else _item(root, name, row["mask"]))


def _item(root: Path, name: str, path: str) -> ImageItem:
    file = inside(root, path or "no mask", root / TABLE)
    if not file.is_file():
        raise DataError(f"{root / TABLE} names {path or 'no mask'!r} of {name}, which is not there")
    return file_item(file, f"{file.parent.name}/{file.name}")


def _rows(table: Path) -> list[_Row]:
    rows = read_table(table, _Row, "download VisA's split again")
    twice = [path for path, count in Counter(row["image"] for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{table} names {twice[0]} twice, so it could be trained on and tested; download it again")
    return rows
