"""What can be wrong before torch is loaded, which takes seconds: paths that are not there."""

from pathlib import Path

from normalgen.errors import DataError

__all__ = ["need", "need_photos", "need_queries"]


def need(path: Path | None, message: str) -> None:
    """See that what is named is there; whether it can be read is told when it is read.

    Raises:
        DataError: `message`.
    """
    try:
        if path is not None:
            path.stat()
    except FileNotFoundError:
        raise DataError(message) from None
    except OSError:
        pass


def need_photos(folder: Path | None, data: Path | None, manifest: Path | None) -> None:
    """See that the photos' folder, the root of categories and the manifest are there, where they are named.

    Raises:
        DataError: one is not.
    """
    need(manifest, f"manifest {manifest} cannot be read (No such file or directory)")
    need(folder, f"{folder} does not exist; name a folder of normal images")
    if folder is None:
        need(data, f"the data folder {data} does not exist; name the folder that holds CATEGORY/train/good")


def need_queries(path: Path) -> None:
    """See that there is something to judge.

    Raises:
        DataError: nothing is there.
    """
    need(path, f"{path} does not exist; name a photo, a folder of photos, or one with labelled sub-folders")
