"""Default folders for results, and the photos to judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.io.notes import note
from normalgen.io.run_folder import refuse_circle

if TYPE_CHECKING:
    from normalgen.data.labels import LabelNames
    from normalgen.data.queries import Queries
    from normalgen.images.sources import ImageSource

__all__ = ["check_apart", "queries_from", "target_folder"]


def target_folder(given: str | Path | None, kind: str, category: str) -> Path:
    """Return `given`, or KIND/CATEGORY in the current folder.

    Raises:
        DataError: links lead in a circle.
    """
    folder = Path(kind) / category if given is None else Path(given)
    refuse_circle(folder)
    return folder


def queries_from(source: "ImageSource", crop: Any, said: "LabelNames | None" = None) -> "Queries":
    """Return the photos to judge; the names of sub-folders, and what is said about them, are their labels.

    A note says what each sub-folder was taken for.

    Raises:
        DataError: there are no photos, none has a header that can be read, or no sub-folder has a name that is said.
    """
    from normalgen.data.queries import Queries, find_queries
    from normalgen.images.peek import need_one_header
    from normalgen.images.sources import as_images

    if isinstance(source, str | Path):
        queries = find_queries(Path(source), crop, said)
        need_one_header(queries.images.items)
        if queries.labels_line:
            note(f"{source}: {queries.labels_line}")
        return queries
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
