"""Checks a downloaded data set for unreadable files, and for copies of the same picture."""

from collections.abc import Iterable
from dataclasses import dataclass

from normalgen.data.category import Category, TestImage
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import pixel_digest
from normalgen.io.progress import Watch, silent

__all__ = ["Checked", "check_category"]


@dataclass(frozen=True)
class Checked:
    """What the check of a category gives. A copy has the same pixels, whatever its file's name and format.

    Attributes:
        unreadable: the message for each image or mask that cannot be used.
        train: training images that are copies of earlier ones, as (copy, earlier one).
        test: the same among test images.
        across: test images that are copies of training images, as (test image, training image).
        contradicting: test images that are copies of test images with the opposite label, as (copy, earlier one).
    """

    unreadable: tuple[str, ...]
    train: tuple[tuple[str, str], ...]
    test: tuple[tuple[str, str], ...]
    across: tuple[tuple[str, str], ...]
    contradicting: tuple[tuple[str, str], ...]


def check_category(category: Category, watch: Watch = silent) -> Checked:
    """Decode every image and mask of a category, and compare the pixels by SHA-256."""
    look = _Look(category, watch)
    trained = look.digests([(item, None) for item in category.normals.items])
    tested = look.digests([(test.image, test) for test in category.tests])
    first, train = _copies(trained)
    _, test = _copies(tested)
    across = tuple((name, first[digest]) for name, digest in tested if digest in first)
    labels = {test.image.name: test.label for test in category.tests}
    # A defect with the pixels of a good image, a training one among them, cannot be told from it.
    contradicting = tuple(pair for pair in test if labels[pair[0]] != labels[pair[1]])
    contradicting += tuple(pair for pair in across if labels[pair[0]])
    return Checked(tuple(look.unreadable), train, test, across, contradicting)


class _Look:
    def __init__(self, category: Category, watch: Watch) -> None:
        self.unreadable: list[str] = []
        self.stage = f"check {category.name}"
        self.total = len(category.normals) + len(category.tests)
        self.done = 0
        self.watch = watch

    def digests(self, pairs: Iterable[tuple[ImageItem, TestImage | None]]) -> list[tuple[str, str]]:
        """Return the name and the digest of the pixels of each readable image."""
        digests = []
        for item, test in pairs:
            try:
                image = decode(item)
                digests.append((item.name, pixel_digest(image)))
                if test is not None and test.mask is not None:
                    test.marked(image.size)
            except DataError as error:
                self.unreadable.append(str(error))
            self.done += 1
            self.watch(self.stage, self.done, self.total)
        return digests


def _copies(digests: list[tuple[str, str]]) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """Return the first name with each digest, and every later one with the first."""
    first: dict[str, str] = {}
    copies = []
    for name, digest in digests:
        if digest in first:
            copies.append((name, first[digest]))
        else:
            first[digest] = name
    return first, tuple(copies)
