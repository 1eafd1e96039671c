"""Write each file completely or not at all: under a temporary name in its folder, flushed, then renamed."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["PARTIAL", "RECORDS", "json_bytes", "passed_over", "slug", "write_json", "write_whole"]

PARTIAL = ".partial"
RECORDS = ".normalgen"  # suffix of the folder next to a pool that holds its records


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file next to `path`, then rename it to `path`. A failed write leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


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
