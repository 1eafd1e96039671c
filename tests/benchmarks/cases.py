"""The categories that benchmarks look at, by one short name."""

from pathlib import Path

from normalgen.data.category import Category
from normalgen.data.registry import find_dataset
from normalgen.images.images import Images

TUNING = ("screw", "hazelnut")
_INSIDE = {"screw": ("mvtec", "mvtec", "screw"), "hazelnut": ("folder", "hazelnut_photos", "hazelnut")}


def find(name: str, root: Path) -> Category:
    """A category; those of `TUNING` are for choosing settings, the others choose nothing."""
    dataset, folder, category = _INSIDE.get(name, (name, ".", name))
    return find_dataset(dataset).read(root / folder, category)


def besides(category: Category, known: Images) -> Images:
    """The category's normal images that are not among `known`."""
    names = set(known.names)
    return category.normals.take([i for i, name in enumerate(category.normals.names) if name not in names])


def by_label(category: Category, label: int) -> Images:
    """The normal (0) or anomalous (1) test images."""
    return category.queries.take([i for i, each in enumerate(category.labels) if each == label])
