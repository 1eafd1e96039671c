"""One class against all: a classification data set as one category a class, for MNIST and CIFAR-10.

Normal are the training images of the class; tested are its test images, good, and those of all others, anomalous.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.data.category import GOOD, Category, TestImage
from normalgen.data.counts import GOOD_TESTS, OTHER_TESTS
from normalgen.data.layout import items, subfolder
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.io.rng import generator

if TYPE_CHECKING:
    pass

__all__ = ["SEED", "Labelled", "class_folders", "has_class_folders", "one_against_all"]

SEED = 42
PARTS = {"train": ("train", "training"), "test": ("test", "testing")}

Labelled = tuple[ImageItem, str]


def one_against_all(
    dataset: str, name: str, noun: str, train: Sequence[Labelled], test: Sequence[Labelled]
) -> Category:
    """Return the category of class `name`, with at most `GOOD_TESTS` and `OTHER_TESTS` test images, drawn with `SEED`.

    The draw depends on the names of the test images, the data set and the class alone.

    Args:
        dataset: such as "mnist".
        name: the class that is normal.
        noun: what it shows.
        train: training images and their classes.
        test: test images and theirs, which become the kinds of the anomalous ones.

    Raises:
        DataError: no training or no test image of the class, or none of another.
    """
    normals = [item for item, label in train if label == name]
    good = [TestImage(item, GOOD) for item, label in test if label == name]
    others = [TestImage(item, label) for item, label in test if label != name]
    if not (normals and good and others):
        counts = f"{len(normals)} training, {len(good)} good and {len(others)} other test images"
        raise DataError(f"{dataset}, class {name}: at least one of each is needed, found {counts}")
    tests = (*_drawn(good, GOOD_TESTS, dataset, name), *_drawn(others, OTHER_TESTS, dataset, name))
    return Category(dataset, name, noun, Images(normals), tests)


def _drawn(tests: list[TestImage], most: int, dataset: str, name: str) -> list[TestImage]:
    import torch

    ordered = sorted(tests, key=lambda test: test.image.name)
    order = torch.randperm(len(ordered), generator=generator("tests", dataset, name, SEED)).tolist()
    return [ordered[index] for index in sorted(order[:most])]


def has_class_folders(root: Path, names: Sequence[str]) -> bool:
    """Return whether `root` holds folders `{train,test}/CLASS`."""
    parts = [subfolder(root, *spelt) for spelt in PARTS.values()]
    return any(part is not None and (part / name).is_dir() for part in parts for name in names)


def class_folders(root: Path, part: str, names: Sequence[str]) -> list[Labelled]:
    """Return the images in `root/PART/CLASS`, `part` being "train" or "test", called `PART/CLASS/x.png`.

    Raises:
        DataError: a folder is missing or empty.
    """
    folder = subfolder(root, *PARTS[part])
    if folder is None:
        raise DataError(f"{root} must hold the folder {part}")
    return [(item, name) for name in names for item in items(folder / name, f"{part}/{name}/")]
