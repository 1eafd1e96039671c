"""Where results go by default, and where photos come from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.images.sources import ImageSource

__all__ = ["check_apart", "queries_from", "target_folder"]


def target_folder(given: str | Path | None, kind: str, category: str) -> Path:
    """`given`, or KIND/CATEGORY where we are."""
    return Path(kind) / category if given is None else Path(given)


def queries_from(source: "ImageSource", crop: Any) -> "Queries":
    """The photos to be judged; sub-folders of a folder name their labels.

    Raises:
        DataError: there are none.
    """
    from normalgen.data.queries import Queries, find_queries
    from normalgen.images.sources import as_images

    if isinstance(source, str | Path):
        return find_queries(Path(source), crop)
    images = as_images(source)
    return Queries(images if crop is None else images.cropped(crop), (None,) * len(images))


def check_apart(source: "ImageSource", folder: Path) -> None:
    """Check that the photos to be judged are not among the results that a run replaces.

    Raises:
        DataError: they are inside the folder of results.
    """
    if not isinstance(source, str | Path):
        return
    photos = Path(source).resolve()
    if folder.resolve() in (photos, *photos.parents):
        raise DataError(f"{source} is inside {folder}, where results are written; choose another --out")
