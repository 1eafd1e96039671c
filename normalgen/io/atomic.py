"""Write each file completely or not at all: under a temporary name in its folder, flushed, then renamed."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "PARTIAL",
    "RECORDS",
    "append_whole",
    "is_full",
    "json_bytes",
    "named",
    "passed_over",
    "slug",
    "write_json",
    "write_whole",
]

PARTIAL = ".partial"
RECORDS = ".normalgen"  # suffix of the folder next to a pool that holds its records


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file next to `path`, then rename it to `path`. A failed write leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with named(path, partial):
            write(partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def append_whole(path: Path, line: bytes) -> None:
    """Append a line to `path`; a failed write, as on a full disk, leaves the file as it was."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with named(path), path.open("ab") as file:
            file.write(line)
    except BaseException:
        with suppress(OSError):
            os.truncate(path, before)
        raise


@contextmanager
def named(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Name `path` in a disk error that names no file, as those of a full disk, or that names `partial`."""
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(partial)):
            error.filename = str(path)
        raise


def is_full(error: OSError) -> bool:
    """Return whether the disk, the user's share of it, or the file allows no more bytes."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write `data` as readable JSON, completely or not at all.

    Raises:
        ValueError: a number is not finite; a measure that cannot be taken is None, with a reason beside it.
    """
    write_whole(path, lambda partial: partial.write_bytes(json_bytes(data, indent=2) + b"\n"))


def json_bytes(data: Any, indent: int | None = None) -> bytes:
    """Return `data` as JSON in UTF-8; bytes of a file name that are not text become escapes that JSON gives back.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")


def passed_over(path: Path, above: Path) -> bool:
    """Whether `path`, or a folder between `above` and `path`, is hidden or holds the records of a pool."""
    return any(part.startswith(".") or part.endswith(RECORDS) for part in path.relative_to(above).parts)


def slug(text: str) -> str:
    """Return a file name for any text: the text if plain, else its letters and a digest."""
    plain = re.sub(r"[^\w.=+-]+", "_", text).strip("_")
    return plain if plain == text else f"{plain[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
