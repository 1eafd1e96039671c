"""Who may write a folder, and with which settings: a lock, and a record that later runs must agree with."""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from normalgen.errors import DataError
from normalgen.io.atomic import write_json
from normalgen.settings.preset import label

__all__ = ["agree", "differing", "locked", "locked_if_free", "read_record", "refuse_file", "refuse_foreign"]


@contextmanager
def locked(folder: Path, *, wait: bool = False, of: Path | None = None) -> Iterator[None]:
    """Hold `folder` for this process; the system lets go of the lock when the process ends, however it ends.

    Args:
        folder: made if need be.
        wait: until another process that holds it is done.
        of: the folder that errors name, where `folder` lies beside it.

    Raises:
        DataError: another process holds it, or it is no folder.
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
    """`locked`, but where another process holds `folder` it yields False instead of raising."""
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
    """The record at `path`; None if there is none.

    Raises:
        DataError: it is not JSON, or holds no settings.
    """
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not readable JSON ({error}); remove its folder to start again") from error
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise DataError(f"{path} holds no settings and was not made by this command; choose another folder")
    return record


def differing(path: Path, settings: dict[str, Any]) -> list[str] | None:
    """The names of `settings` in which the record at `path` differs; None if there is no record.

    Raises:
        DataError: the record is not readable.
    """
    found = read_record(path)
    if found is None:
        return None
    there, wanted = found["settings"], json.loads(json.dumps(settings))
    by_name = sorted(wanted, key=lambda name: (name != "preset", name))
    return [name for name in by_name if wanted[name] != there.get(name)]


def agree(
    path: Path,
    record: dict[str, Any],
    *,
    look: bool = False,
    remedy: str = "Use those, another folder, or --overwrite to replace what is there",
    of: Path | None = None,
    ours: Collection[str] = (),
) -> None:
    """Write `record` to `path` (not if `look`), or raise if the one there has other `record["settings"]`.

    Args:
        path: of the record.
        record: its "settings" count.
        look: write nothing.
        remedy: ends the error of other settings.
        of: the folder that the record is of, where it lies beside that folder and not in it.
        ours: names that may be in the record's folder before the record is.

    Raises:
        DataError: it differs; names every setting that does. Or one of the folders holds other files, which are not
            ours, or is none.
    """
    both = {path.parent: ours} if of is None else {of: (), path.parent: ours}
    for inside in both:
        refuse_file(inside)
    folder = path.parent if of is None or not of.exists() else of
    odd = differing(path, record["settings"])
    if odd is None and any(_foreign(inside, names) for inside, names in both.items()):
        odd = differing(path, record["settings"])  # another process may have begun it since
        if odd is None:
            for inside, names in both.items():
                refuse_foreign(inside, names)
    if odd is None:
        if not look:
            write_json(path, record)
    elif odd:
        there, wanted = (read_record(path) or {}).get("settings", {}), record["settings"]
        raise DataError(
            f"{folder} was made with other settings: "
            + "; ".join(f"{label(name)} was {_short(there.get(name))}, now {_short(wanted.get(name))}" for name in odd)
            + f". {remedy}"
        )


def refuse_foreign(folder: Path, ours: Collection[str] = ()) -> None:
    """Raise if `folder` holds anything but hidden files and those called as in `ours`.

    Raises:
        DataError: it holds other files; or is none, or cannot be written.
    """
    refuse_file(folder)
    if foreign := _foreign(folder, ours):
        raise DataError(f"{folder} is not empty ({foreign}) and was not made by this command; choose another folder")


def refuse_file(folder: Path) -> None:
    """Check that `folder` is, or can become, a folder that can be written.

    Raises:
        DataError: it cannot.
    """
    try:
        there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    except OSError as error:
        raise DataError(f"{folder} cannot be a folder ({error.strerror}); choose another") from error
    if there is None:
        raise DataError(f"{folder} cannot be a folder, {folder.anchor or 'its drive'} does not exist; choose another")
    if not there.is_dir():
        raise DataError(f"{folder} cannot be a folder, {there} is a file; choose another")
    if not os.access(there, os.W_OK):
        raise DataError(f"{folder} cannot be written: {there} is not yours to write in; choose another folder")


def _foreign(folder: Path, ours: Collection[str]) -> str:
    """A file in `folder` that may not be ours; "" if there is none."""
    inside = folder.iterdir() if folder.exists() else ()
    return min((path.name for path in inside if not path.name.startswith(".") and path.name not in ours), default="")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
