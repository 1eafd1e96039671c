"""Photos to be judged: a folder, or a folder of labelled sub-folders such as MVTec's `test/`."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from normalgen.data.category import GOOD, kind_of
from normalgen.errors import DataError
from normalgen.images.crop import Crop
from normalgen.images.decode import SUFFIXES, ImageItem
from normalgen.images.images import Images, Photo
from normalgen.io.atomic import passed_over

__all__ = ["GOOD", "Queries", "find_queries", "is_labelled"]


@dataclass(frozen=True)
class Queries:
    """Photos, and the label of each whose sub-folder names one: "good", or a defect.

    Attributes:
        images: their names are paths inside the folder.
        labels: one per image, None for a photo directly in the folder.
        known: the SHA-256 of photos whose labels do not count, as they are references.
    """

    images: Images
    labels: tuple[str | None, ...]
    known: frozenset[str] = frozenset()

    @property
    def labelled(self) -> bool:
        """Whether good and other labels are there."""
        return is_labelled(self.labels)

    def batches(
        self, size: int, batch: int, side: int = 0, *, whole: bool = False
    ) -> Iterator[tuple[list[Photo], dict[str, str]]]:
        """The photos, each read and decoded once: up to `batch` of them, and a message for each unreadable one.

        Args:
            size: width and height, pixels, that the photos are squashed to.
            batch: how many are read at a time; fewer come where some are unreadable.
            side: the longer side, in pixels, of each photo's `picture` at most; 0 makes none.
            whole: whether each photo keeps its `image`, not reduced.
        """
        for start in range(0, len(self.images), batch):
            yield self._read(range(start, min(start + batch, len(self.images))), size, side, whole)

    def _read(self, places: range, size: int, side: int, whole: bool) -> tuple[list[Photo], dict[str, str]]:
        photos, errors = [], {}
        for place in places:
            try:
                photos.append(self.images.photo(place, size, side, whole=whole))
            except DataError as error:
                errors[self.images.items[place].name] = str(error)
        return photos, errors

    def hashes(self) -> list[str]:
        """The SHA-256 of each photo's file, "" if it cannot be read; judging it gives the error."""
        found = []
        for place in range(len(self.images)):
            try:
                found += self.images.take([place]).hashes()
            except (DataError, OSError):
                found.append("")
        return found

    def unmeasured(self, known: Collection[str]) -> "Queries":
        """The same photos; the labels of those whose SHA-256 is among `known` do not count. Reads none of them."""
        return replace(self, known=self.known.union(known))


def is_labelled(labels: Collection[str | None]) -> bool:
    """Whether good and other labels are there, so that scores can be measured."""
    return GOOD in labels and any(label not in (None, GOOD) for label in labels)


def find_queries(path: Path, crop: str | Crop | None = None) -> Queries:
    """The photos at `path`: one file, a folder's, or those of its sub-folders, which name labels.

    Raises:
        DataError: nothing there.
    """
    if path.is_file():
        return Queries(Images([ImageItem(path.name, str(path), path.read_bytes)], crop), (None,))
    if not path.is_dir():
        raise DataError(f"{path} does not exist; name a photo, a folder of photos, or one with labelled sub-folders")
    files = sorted(
        file
        for file in (*path.glob("*"), *path.glob("*/*"))
        if file.is_file() and file.suffix.lower() in SUFFIXES and not passed_over(file, path)
    )
    if not files:
        raise DataError(f"no images in {path} nor in its sub-folders ({', '.join(sorted(SUFFIXES))})")
    items = [ImageItem(file.relative_to(path).as_posix(), str(file), file.read_bytes) for file in files]
    labels = tuple(None if file.parent == path else kind_of(file.parent.name) for file in files)
    return Queries(Images(items, crop), labels)
