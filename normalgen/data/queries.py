"""Photos to judge: a folder, or a folder of labelled sub-folders such as MVTec's `test/`."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from normalgen.data.folder_names import Role
from normalgen.data.labels import GOOD, FolderLabel, LabelNames, describe, masks_among, read_folders
from normalgen.data.query_masks import masks_of
from normalgen.errors import DataError
from normalgen.images.crop import Crop
from normalgen.images.decode import ImageItem, file_item
from normalgen.images.images import Images, Photo
from normalgen.images.listing import need_photo, photo_files, photo_items

__all__ = ["GOOD", "Queries", "find_queries", "is_labelled", "unmeasured"]


@dataclass(frozen=True)
class Queries:
    """Photos, and the label of each whose sub-folder names one: "good", or a defect.

    Attributes:
        images: their names are paths inside the folder.
        labels: one per image; None for a photo directly in the folder, or in a sub-folder that names no label.
        known: the SHA-256 of photos whose labels do not count, as they are references.
        folders: what each sub-folder was taken for.
        others: photos with other roles, such as references; the labels of copies of them do not count either.
        masks: of anomalous photos, by the photo's name, as far as there are any.
    """

    images: Images
    labels: tuple[str | None, ...]
    known: frozenset[str] = frozenset()
    folders: tuple[FolderLabel, ...] = ()
    others: tuple[Images, ...] = ()
    masks: Mapping[str, ImageItem] = field(default_factory=dict, repr=False)

    @property
    def labels_line(self) -> str:
        """One line that says what each sub-folder was taken for; empty if there is none."""
        return describe(self.folders)

    def batches(
        self, size: int, batch: int, side: int = 0, *, whole: bool = False
    ) -> Iterator[tuple[list[Photo], dict[str, str]]]:
        """Yield the photos, each read and decoded once: up to `batch` of them, and a message per unreadable one.

        Args:
            size: width and height, pixels, that the photos are squashed to.
            batch: how many are read at a time; fewer come where some are unreadable.
            side: the longer side, in pixels, of each photo's `picture` at most; 0 makes none.
            whole: whether each photo keeps its `image`, not reduced.
        """
        for start in range(0, len(self.images), batch):
            yield self._read(range(start, min(start + batch, len(self.images))), size, side, whole)

    def _read(self, indices: range, size: int, side: int, whole: bool) -> tuple[list[Photo], dict[str, str]]:
        photos, errors = [], {}
        for index in indices:
            try:
                photos.append(self.images.photo(index, size, side, whole=whole))
            except DataError as error:
                errors[self.images.items[index].name] = str(error)
        return photos, errors

    def hashes(self) -> list[str]:
        """Return the SHA-256 of each photo's file, "" if it cannot be read; judging it gives the error."""
        hashes = []
        for index in range(len(self.images)):
            try:
                hashes += self.images.take([index]).hashes()
            except (DataError, OSError):
                hashes.append("")
        return hashes

    def unmeasured(self, known: Collection[str], *others: Images) -> "Queries":
        """Return the same photos, without the labels of those with a SHA-256 in `known`, and of copies of `others`."""
        return replace(self, known=self.known.union(known), others=(*self.others, *others))

    def knows(self, size: int) -> Callable[[Photo], bool]:
        """Return a function that tells whether a photo, read at `size`, has another role or is a copy of one that has.

        Raises:
            DataError: one of `others` cannot be read.
        """
        from normalgen.images.copies import Copies, reduced

        copies = Copies(
            [reduced(photo.pixels) for images in self.others for part in images.photos(size) for photo in part]
        )
        return lambda photo: photo.digest in self.known or copies.find(reduced(photo.pixels)) is not None


def is_labelled(labels: Collection[str | None]) -> bool:
    """Return whether good and other labels are there, so that scores can be measured."""
    return GOOD in labels and any(label not in (None, GOOD) for label in labels)


def unmeasured(labels: Collection[str | None]) -> str:
    """Return why labels cannot measure scores; empty if they can, or if there are none."""
    known = [label for label in labels if label is not None]
    if not known or is_labelled(labels):
        return ""
    own, other = ("normal", "anomalous") if GOOD in known else ("anomalous", "normal")
    return f"all {len(known)} labelled photos are {own}; AUROC needs {other} ones, too"


def find_queries(path: Path, crop: str | Crop | None = None, said: LabelNames | None = None) -> Queries:
    """Return the photos at `path`: one file, a folder's, or those of its sub-folders, which name labels.

    Masks are left out: folders of them, and those next to their photos ("a_mask.png" next to "a.png").

    Args:
        path: a file or a folder.
        crop: as in `Images`.
        said: what the user says about sub-folders.

    Raises:
        DataError: nothing is there, or no sub-folder has a name that the user gives.
    """
    if path.is_file():
        need_photo(path)
        return Queries(Images([file_item(path)], crop), (None,))
    files = _photo_files(path)
    if not files:
        raise DataError(f"no images in {path} nor in its sub-folders; name a folder of PNG, JPEG, TIFF or other images")
    by_folder: dict[str, list[ImageItem]] = {}
    for file, item in zip(files, photo_items(files, path), strict=True):
        folder = "" if file.parent == path else file.parent.name
        by_folder.setdefault(folder, []).append(item)
    return _labelled(path, by_folder, crop, said or LabelNames())


def _photo_files(path: Path) -> list[Path]:
    """Return the photos in a folder and its sub-folders.

    Raises:
        DataError: it does not exist, is no folder, or cannot be read.
    """
    remedy = "name a photo, a folder of photos, or one with labelled sub-folders"
    try:
        return photo_files(path, depth=2)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; {remedy}") from None
    except NotADirectoryError:
        raise DataError(f"{path} is not a regular file; {remedy}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from error


def _labelled(path: Path, by_folder: dict[str, list[ImageItem]], crop: str | Crop | None, said: LabelNames) -> Queries:
    """Return the queries in these folders; "" is `path` itself."""
    masks = {name for items in by_folder.values() for name in masks_among(items)}
    photos = {folder: [item for item in items if item.name not in masks] for folder, items in by_folder.items()}
    named = {folder: items for folder, items in photos.items() if folder and items}
    read = read_folders(named, said)
    folders = [*read.labels.values()]
    said.check_used(folders, path)
    if masks:
        folders.append(FolderLabel(f"{len(masks)} files next to their photos", Role.MASKS, len(masks)))
    if folders and photos.get(""):
        folders.append(FolderLabel(f"{len(photos[''])} photos in no sub-folder", Role.UNSORTED, len(photos[""])))
    judged = {folder: items for folder, items in photos.items() if folder not in read.of(Role.MASKS)}
    pairs = [(item, read.labels[folder].label if folder else None) for folder in judged for item in judged[folder]]
    pairs.sort(key=lambda pair: Path(pair[0].source))
    if not pairs:
        raise DataError(f"{path} holds masks only ({describe(folders)}); name a folder of photos")
    items, labels = zip(*pairs, strict=True)
    beside = {folder: [item for item in inside if item.name in masks] for folder, inside in by_folder.items()}
    kinds = {folder: judged[folder] for folder in read.of(Role.ANOMALOUS)}
    marked = masks_of(path, kinds, beside, read.of(Role.MASKS))
    return Queries(Images(items, crop), labels, folders=tuple(folders), masks=marked)
