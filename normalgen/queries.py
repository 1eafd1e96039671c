"""Photos to be judged: a folder, or a folder of labelled sub-folders such as MVTec's `test/`."""

from dataclasses import dataclass
from pathlib import Path

from normalgen.errors import DataError
from normalgen.images import SUFFIXES, ImageItem, Images

__all__ = ["GOOD", "Queries", "find_queries"]

GOOD = "good"


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

    def readable(self) -> "tuple[Queries, dict[str, str]]":
        """Those that can be decoded, and the message for each of the others, by name."""
        errors: dict[str, str] = {}
        for place, name in enumerate(self.images.names):
            try:
                self.images[place]
            except DataError as error:
                errors[name] = str(error)
        kept = [place for place, name in enumerate(self.images.names) if name not in errors]
        return Queries(self.images.take(kept), tuple(self.labels[place] for place in kept)), errors


def find_queries(path: Path, crop: str | tuple[int, int, int, int] | None = None) -> Queries:
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
        if file.is_file() and file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise DataError(f"no images in {path} nor in its sub-folders ({', '.join(sorted(SUFFIXES))})")
    items = [ImageItem(file.relative_to(path).as_posix(), str(file), file.read_bytes) for file in files]
    labels = tuple(None if file.parent == path else file.parent.name for file in files)
    return Queries(Images(items, crop), labels)
