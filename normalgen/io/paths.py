"""Paths that a file's content names: inside their folder, or an error. Removes only regular files, behind no link."""

import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from normalgen.errors import DataError
from normalgen.io.atomic import PARTIAL

__all__ = ["STALE", "inside", "remove_file", "remove_files", "remove_if_empty", "sweep"]

STALE = 3600.0
"""Seconds after which an unfinished file is a killed process's: writing one takes far less."""


def inside(folder: Path, name: str, source: Path) -> Path:
    """Return `folder/name`, where the content of the file `source` gives `name`.

    Raises:
        DataError: it is not inside `folder`: absolute, with `..`, the folder itself, or behind a link that leads out.
    """
    if not _is_inside(folder, name):
        raise DataError(f"{source} names {name!r}, which is not a path inside {folder}; correct or remove that entry")
    return folder / name


def _is_inside(folder: Path, name: str) -> bool:
    try:
        root, path = folder.resolve(), (folder / name).resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()
    except (OSError, RuntimeError, ValueError):  # names that no disk has, and links in a circle
        return False
    return not Path(name).is_absolute() and ".." not in Path(name).parts and root in path.parents


def remove_file(folder: Path, name: str) -> None:
    """Remove the regular file `folder/name`; a folder, a link, and what is behind a link stay."""
    path = folder / name
    with suppress(OSError, ValueError):
        direct = ".." not in Path(name).parts and path.parent.resolve() == folder.resolve() / Path(name).parent
        if direct and stat.S_ISREG(path.lstat().st_mode):
            path.unlink()


def remove_files(folder: Path, patterns: Iterable[str]) -> None:
    """Remove the regular files in `folder` that match one of the glob `patterns`, and sub-folders left empty by it."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            remove_file(folder, str(path.relative_to(folder)))
            with suppress(OSError):
                if path.parent != folder and not path.parent.is_symlink():
                    path.parent.rmdir()


def sweep(folder: Path, *, deep: bool = True, older: float = 0.0, ended: bool = False) -> None:
    """Remove the unfinished files that killed processes left in `folder`, and below if `deep`.

    Call it with the folder's lock, so that no other process is writing there; without one, name an age.

    Args:
        folder: where processes write.
        deep: whether sub-folders are looked through.
        older: seconds since a file was last written to; `STALE` where other processes may be writing.
        ended: whether to remove younger files too, if their process no longer runs on this machine; for folders where
            the loss of a file that another machine is writing does no harm.
    """
    for left in folder.glob(f"{'**/' * deep}.*{PARTIAL}"):
        with suppress(OSError):
            if left.lstat().st_mtime <= time.time() - older or (ended and _has_ended(left)):
                remove_file(folder, str(left.relative_to(folder)))


def _has_ended(partial: Path) -> bool:
    """Return whether the process that writes an unfinished file has ended; False if this system cannot tell."""
    if os.name != "posix":  # elsewhere, `os.kill` ends the process
        return False
    try:
        os.kill(int(partial.name.removesuffix(PARTIAL).rpartition(".")[2]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return False


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing but a lock and such folders; links are not followed."""
    with suppress(OSError):
        for inner in folder.iterdir():
            if inner.is_dir() and not inner.is_symlink():
                remove_if_empty(inner)
        if {path.name for path in folder.iterdir()} <= {".lock"}:
            (folder / ".lock").unlink(missing_ok=True)
            folder.rmdir()
