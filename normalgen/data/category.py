"""The one shape that every reader gives."""

import re
from dataclasses import dataclass

from normalgen.errors import DataError
from normalgen.images import ImageItem, Images

__all__ = ["GOOD", "Category", "TestImage", "category_noun", "check_name"]

GOOD = "good"


@dataclass(frozen=True)
class TestImage:
    """An image of which it is known whether it is anomalous, and perhaps where.

    Attributes:
        image: what it shows.
        kind: "good", or the kind of defect.
        mask: as large as the image, anomalous where it is not 0; None where there is none.
    """

    __test__ = False  # not for pytest to collect

    image: ImageItem
    kind: str
    mask: ImageItem | None = None

    @property
    def label(self) -> int:
        """1 for an anomalous image, 0 for a normal one."""
        return int(self.kind != GOOD)


@dataclass(frozen=True)
class Category:
    """One kind of part.

    Attributes:
        dataset: such as "elpv" or "mvtec"; with `name`, it seeds the choice of shots.
        name: such as "elpv-mono"; names folders.
        noun: the object in prompts, such as "solar cell".
        normals: the normal images to choose references from.
        tests: the images that detectors are measured on, none of them among `normals`; empty where there are none.
    """

    dataset: str
    name: str
    noun: str
    normals: Images
    tests: tuple[TestImage, ...] = ()

    @property
    def queries(self) -> Images:
        """The test images, in order."""
        return Images([test.image for test in self.tests])

    @property
    def labels(self) -> list[int]:
        """1 for each anomalous test image, 0 for each normal one."""
        return [test.label for test in self.tests]


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
