"""Records on disk: JSON that is checked against a type, and against its own digest, whenever it is read.

`write_record` adds the SHA-256 of the other entries, so that a flipped bit or an edited value never passes for what was
written. A record without a digest is checked by type alone: people may write manifests by hand.
"""

import csv
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from normalgen.errors import DataError
from normalgen.io.atomic import json_bytes, write_json

__all__ = [
    "Rows",
    "parse",
    "read_json",
    "read_rows",
    "read_table",
    "row_line",
    "seal",
    "text_digest",
    "unseal",
    "write_record",
]

DIGEST = "sha256"
SEAL = 32
"""Bytes of the SHA-256 behind sealed data."""
T = TypeVar("T")


def write_record(path: Path, data: Mapping[str, Any]) -> None:
    """Write `data` and its digest as readable JSON, completely or not at all."""
    write_json(path, _digested(data))


def read_json(path: Path, kind: type[T], remedy: str) -> T | None:
    """Return the record at `path`, checked to be a `kind` (such as a TypedDict); None if there is none.

    Raises:
        DataError: it is damaged, or something else; the message ends with `remedy`.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    try:
        return parse(data, kind)
    except ValueError as error:
        raise DataError(f"{path} is damaged, or normalgen did not write it ({error}); {remedy}") from error


def parse(data: bytes, kind: type[T]) -> T:
    """Return the JSON value in `data` as it stands, checked to be a `kind`; without the digest of `write_record`.

    Raises:
        ValueError: it is not JSON in UTF-8, holds a number that JSON has not, or is no `kind`; or its digest differs.
    """
    from pydantic import ValidationError

    try:
        value = json.loads(data.decode("utf-8-sig"))
        digest = value.pop(DIGEST, None) if isinstance(value, dict) else None
        plain = json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    try:
        _adapter(cast(Hashable, kind)).validate_json(plain, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None
    if digest not in (None, text_digest(json_bytes(value))):
        raise ValueError(f"its {DIGEST} is not {str(digest)[:12]}")
    return cast(T, value)


@cache
def _adapter(kind: Hashable) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cast(Any, kind))


def _digested(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, DIGEST: text_digest(json_bytes(data))}


def text_digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex digits."""
    return sha256(data).hexdigest()


@dataclass(frozen=True)
class Rows(Generic[T]):
    """The rows of a file, up to the first that cannot be read.

    Attributes:
        rows: one per line.
        lines: their bytes, each with its line feed.
        fault: what is wrong with the rest of the file; "" if nothing is.
        torn: whether the fault is an unfinished last line alone, as a killed process leaves one.
    """

    rows: list[T]
    lines: list[bytes]
    fault: str = ""
    torn: bool = False


def row_line(row: Mapping[str, Any], *, digested: bool = False) -> bytes:
    """Return a row as one line of JSON, with its digest if `digested`."""
    return json_bytes(_digested(row) if digested else row) + b"\n"


def read_rows(path: Path, kind: type[T]) -> Rows[T]:
    """Return the rows of a file of JSON lines; none if the file is missing."""
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    rows: list[T] = []
    for number, line in enumerate(lines):
        if not line.endswith(b"\n"):
            return Rows(rows, lines[:number], "its last line is not finished", torn=True)
        try:
            rows.append(parse(line, kind))
        except ValueError as error:
            return Rows(rows, lines[:number], f"line {number + 1} is damaged ({error})")
    return Rows(rows, lines)


def read_table(path: Path, kind: type[T], remedy: str) -> list[T]:
    """Return the rows of a CSV file with a head, spaces around its entries left out, each checked to be a `kind`.

    Raises:
        DataError: the file is missing, is no CSV, or a row is no `kind`; the message ends with `remedy`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True, strict=True))
        for number, row in enumerate(rows):
            try:
                parse(json_bytes(row), kind)
            except ValueError as error:
                raise ValueError(f"row {number + 1}: {error}") from error
    except OSError as error:
        raise DataError(f"{path} is missing or cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} is damaged, or another table ({error}); {remedy}") from error
    return cast(list[T], rows)


def seal(data: bytes) -> bytes:
    """Return `data` followed by its SHA-256."""
    return data + sha256(data).digest()


def unseal(data: bytes) -> bytes:
    """Return what `seal` was given.

    Raises:
        ValueError: it is damaged.
    """
    held, digest = data[:-SEAL], data[-SEAL:]
    if sha256(held).digest() != digest:
        raise ValueError("it is damaged: its SHA-256 differs")
    return held
