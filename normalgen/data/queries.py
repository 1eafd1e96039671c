"""Photos to be judged: a folder, or a folder of labelled sub-folders such as MVTec's `test/`."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from normalgen.data.category import GOOD, kind_of
from normalgen.errors import DataError
from normalgen.images.images import SUFFIXES, Crop, ImageItem, Images, to_pil, to_tensor
from normalgen.io.atomic import passed_over

__all__ = ["GOOD", "Queries", "find_queries"]


@dataclass(frozen=True)
class Queries:
    """Photos, and where their sub-folder names one, the label of each: "good", or a defect.

    Attributes:
        images: their names are paths inside the folder.
        labels: one an image, None where it lies in the folder itself.
    """

    images: Images
    labels: tuple[str | None, ...]

    @property
    def labelled(self) -> bool:
        """Whether good and other labels are there, so that scores can be measured."""
        return GOOD in self.labels and any(label not in (None, GOOD) for label in self.labels)

    def batches(self, size: int, batch: int) -> Iterator[tuple[Images, dict[str, str]]]:
        """The photos, each decoded once: up to `batch` squashed to `size`, and a message for each unreadable one.

        Args:
            size: width and height, pixels, of the images that come.
            batch: how many are read at a time; fewer come where some are unreadable.
        """
        for start in range(0, len(self.images), batch):
            some = self.images.take(range(start, min(start + batch, len(self.images))))
            pictures, errors = _read(some, size)
            yield _Squashed([item for item in some.items if item.name not in errors], some.crop, pictures), errors

    def without(self, names: Collection[str]) -> "Queries":
        """All but the photos called so."""
        kept = [place for place, name in enumerate(self.images.names) if name not in names]
        return Queries(self.images.take(kept), tuple(self.labels[place] for place in kept))

    def hashes(self) -> list[str]:
        """The SHA-256 of each photo's file, "" where it cannot be read, which is told when it is judged."""
        found = []
        for place in range(len(self.images)):
            try:
                found += self.images.take([place]).hashes()
            except (DataError, OSError):
                found.append("")
        return found

    def unmeasured(self, known: Collection[str]) -> "Queries":
        """The same photos, those whose SHA-256 is among `known` without their labels."""
        pairs = zip(self.labels, self.hashes(), strict=True)
        return Queries(self.images, tuple(None if digest in known else label for label, digest in pairs))


class _Squashed(Images):
    """Images that are decoded and resized already; their hashes are still those of the files."""

    def __init__(self, items: Sequence[ImageItem], crop: str | Crop | None, pictures: list[Image.Image]) -> None:
        super().__init__(items, crop)
        self.pictures = pictures

    def __getitem__(self, index: int) -> Image.Image:  # type: ignore[override]
        return self.pictures[index]

    def take(self, indices: Sequence[int]) -> "_Squashed":
        return _Squashed([self.items[i] for i in indices], self.crop, [self.pictures[i] for i in indices])


def _read(images: Images, size: int) -> tuple[list[Image.Image], dict[str, str]]:
    pictures, errors = [], {}
    for place, name in enumerate(images.names):
        try:
            pictures.append(to_pil(to_tensor(images[place], size)))
        except DataError as error:
            errors[name] = str(error)
    return pictures, errors


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
