"""Default folders for results, and the photos to judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.images.sources import ImageSource

__all__ = ["check_apart", "queries_from", "target_folder"]


def target_folder(given: str | Path | None, kind: str, category: str) -> Path:
    """Return `given`, or KIND/CATEGORY in the current folder."""
    return Path(kind) / category if given is None else Path(given)


def queries_from(source: "ImageSource", crop: Any) -> "Queries":
    """Return the photos to judge; the names of sub-folders are their labels.

    Raises:
        DataError: there are no photos.
    """
    from normalgen.data.queries import Queries, find_queries
    from normalgen.images.sources import as_images

    if isinstance(source, str | Path):
        return find_queries(Path(source), crop)
    images = as_images(source)
    return Queries(images if crop is None else images.cropped(crop), (None,) * len(images))


def check_apart(source: "ImageSource", folder: Path) -> None:
    """Check that the photos to judge are not inside the folder whose results a run replaces.

    Raises:
        DataError: they are.
    """
    if not isinstance(source, str | Path):
        return
    photos = Path(source).resolve()
    if folder.resolve() in (photos, *photos.parents):
        raise DataError(f"{source} is inside {folder}, where results are written; choose another --out")
