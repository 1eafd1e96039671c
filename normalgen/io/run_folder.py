"""A lock on a folder, and a record of its settings that later runs must match."""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from typing_extensions import TypedDict

from normalgen.errors import DataError
from normalgen.io.records import read_json, write_record
from normalgen.settings.preset import label

__all__ = [
    "Recorded",
    "agree",
    "differing",
    "locked",
    "locked_if_free",
    "read_record",
    "refuse_circle",
    "refuse_file",
    "refuse_foreign",
]

REMEDY = "remove its folder to start again, or choose another"


class Recorded(TypedDict):
    """What every record of a run holds."""

    settings: dict[str, Any]


@contextmanager
def locked(folder: Path, *, wait: bool = False, of: Path | None = None) -> Iterator[None]:
    """Lock `folder` for this process; the system releases the lock when the process ends, however it ends.

    Args:
        folder: created if missing.
        wait: whether to wait for another process that holds it.
        of: the folder that errors name, if not `folder`.

    Raises:
        DataError: another process holds it, or it is not a folder.
    """
    refuse_file(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=-1 if wait else 0):
            yield
    except Timeout:
        raise DataError(f"another process is writing {of or folder}; wait for it, or choose another folder") from None


@contextmanager
def locked_if_free(folder: Path) -> Iterator[bool]:
    """Lock `folder` as `locked` does; yield False instead of raising if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record at `path`; None if there is none.

    Raises:
        DataError: the file is damaged, or holds no settings.
    """
    record = read_json(path, Recorded, REMEDY)
    return None if record is None else {**record}


def differing(path: Path, settings: dict[str, Any]) -> list[str] | None:
    """Return the names of `settings` that differ in the record at `path`; None if there is no record.

    Raises:
        DataError: the record is not readable.
    """
    record = read_record(path)
    if record is None:
        return None
    recorded, wanted = record["settings"], json.loads(json.dumps(settings))
    by_name = sorted(wanted, key=lambda name: (name != "preset", name))
    return [name for name in by_name if wanted[name] != recorded.get(name)]


def agree(
    path: Path,
    record: dict[str, Any],
    *,
    look: bool = False,
    remedy: str = "Use those settings, choose another folder, or replace the old files with --overwrite",
    of: Path | None = None,
    ours: Collection[str] = (),
) -> None:
    """Write `record` to `path` (not if `look`), or raise if the file there has other `record["settings"]`.

    Args:
        path: file of the record.
        record: only its "settings" are compared.
        look: compare, but write nothing.
        remedy: last sentence of the error about other settings.
        of: the folder that the record describes, if the record is not in it.
        ours: names that may be in the record's folder before the record exists.

    Raises:
        DataError: settings differ; names each of them. Or one of the folders holds files that are not ours, or is not a
            folder.
    """
    both = {path.parent: ours} if of is None else {of: (), path.parent: ours}
    for inside in both:
        refuse_file(inside)
    folder = path.parent if of is None or not of.exists() else of
    differs = differing(path, record["settings"])
    if differs is None and any(_foreign(inside, names) for inside, names in both.items()):
        differs = differing(path, record["settings"])  # another process may have written it since
        if differs is None:
            for inside, names in both.items():
                refuse_foreign(inside, names)
    if differs is None:
        if not look:
            write_record(path, record)
    elif differs:
        recorded, wanted = (read_record(path) or {}).get("settings", {}), record["settings"]
        raise DataError(
            f"{folder} was made with other settings: "
            + "; ".join(
                f"{label(name)} was {_short(recorded.get(name))}, now {_short(wanted.get(name))}" for name in differs
            )
            + f". {remedy}"
        )


def refuse_foreign(folder: Path, ours: Collection[str] = ()) -> None:
    """Raise if `folder` holds anything except hidden files and names in `ours`.

    Raises:
        DataError: it holds other files, is not a folder, or cannot be written.
    """
    refuse_file(folder)
    if foreign := _foreign(folder, ours):
        raise DataError(f"{folder} is not empty ({foreign}) and was not made by this command; choose another folder")


def refuse_circle(folder: Path) -> None:
    """Raise if `folder` cannot be found because a link leads back to itself; a folder may be missing.

    Raises:
        DataError: links lead in a circle, or a name is too long.
    """
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.path.realpath(folder, strict=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be a folder ({error.strerror}); choose another") from error


def refuse_file(folder: Path) -> None:
    """Check that `folder` is, or can become, a writable folder.

    Raises:
        DataError: it is not, and cannot become one.
    """
    refuse_circle(folder)
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if nearest is None:
        raise DataError(f"{folder} cannot be a folder, {folder.anchor or 'its drive'} does not exist; choose another")
    if not nearest.is_dir():
        raise DataError(f"{folder} cannot be a folder, {nearest} is a file; choose another")
    if not os.access(nearest, os.W_OK):
        raise DataError(f"{folder} cannot be written: you may not write in {nearest}; choose another folder")


def _foreign(folder: Path, ours: Collection[str]) -> str:
    """Return the name of a file in `folder` that is not ours; "" if there is none."""
    inside = folder.iterdir() if folder.exists() else ()
    return min((path.name for path in inside if not path.name.startswith(".") and path.name not in ours), default="")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
