"""Checks a downloaded data set for unreadable files, and for copies of the same picture."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from normalgen.data.category import Category, TestImage
from normalgen.errors import DataError
from normalgen.images.copies import COMPARED, Copies, reduced
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import pixel_digest, to_tensor
from normalgen.io.progress import Watch, silent

__all__ = ["Checked", "check_category"]


@dataclass(frozen=True)
class Checked:
    """What the check of a category gives. A copy has the same pixels, whatever its file's name and format.

    Across training and test images, an image saved again, resized or slightly cropped counts as a copy, too.

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
    """Decode every image and mask of a category, and compare the pixels: by SHA-256, and aligned."""
    look = _Look(category, watch)
    trained, pixels = look.images([(item, None) for item in category.normals.items])
    tested, judged = look.images([(test.image, test) for test in category.tests])
    first, train = _copies(trained)
    _, test = _copies(tested)
    across = tuple((name, first[digest]) for name, digest in tested if digest in first)
    others = [(name, image) for (name, digest), image in zip(tested, judged, strict=True) if digest not in first]
    across += _similar(others, Copies(pixels), [name for name, _ in trained], f"compare {category.name}", watch)
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

    def images(self, pairs: Iterable[tuple[ImageItem, TestImage | None]]) -> tuple[list[tuple[str, str]], list[Tensor]]:
        """Return name and digest of the pixels of each readable image, and the image as `Copies` compares it."""
        digests, small = [], []
        for item, test in pairs:
            try:
                image = decode(item)
                digests.append((item.name, pixel_digest(image)))
                small.append(reduced((to_tensor(image, COMPARED) * 255).byte()))
                if test is not None and test.mask is not None:
                    test.marked(image.size)
            except DataError as error:
                self.unreadable.append(str(error))
            self.done += 1
            self.watch(self.stage, self.done, self.total)
        return digests, small


def _similar(
    tests: list[tuple[str, Tensor]], known: Copies, names: list[str], stage: str, watch: Watch
) -> tuple[tuple[str, str], ...]:
    """Return the test images that are training images saved again, resized or slightly cropped, with their names."""
    pairs = []
    watch(stage, 0, len(tests))
    for done, (name, image) in enumerate(tests, start=1):
        index = known.find(image)
        pairs += [] if index is None else [(name, names[index])]
        watch(stage, done, len(tests))
    return tuple(pairs)


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
