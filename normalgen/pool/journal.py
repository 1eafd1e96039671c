"""The files of a pool: one row per kept image, one row per candidate, and where a killed run resumes."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normalgen.errors import DataError
from normalgen.io.atomic import PARTIAL, RECORDS
from normalgen.io.run_folder import read_record, refuse_file

__all__ = [
    "CANDIDATES",
    "DRAWN",
    "GATE",
    "METADATA",
    "QUALITY",
    "REJECTED",
    "RUN",
    "SHEET",
    "Ledger",
    "discard",
    "discard_pool",
    "drawn_folder",
    "image_name",
    "image_path",
    "numbered",
    "record_folder",
    "refuse_other_pool",
    "whole_rows",
]

# In the pool's folder, where data loaders take every image and may take any JSON for data.
METADATA, IMAGES, CARD = "metadata.jsonl", "images", "README.md"
# In the folder of the pool's records.
RUN, CANDIDATES, REJECTED, GATE = "run.json", "candidates.jsonl", "rejected", "gate.json"
DRAWN, SHEET, QUALITY = "drawn", "contact_sheet.png", "quality.json"
_GONE = ".gone-"


def record_folder(folder: Path) -> Path:
    """Return the folder for a pool's records, next to the pool: `pools/nut.normalgen` for `pools/nut`.

    Every path to the pool gives the same folder, even `.` or a link.

    Raises:
        DataError: `folder` is the root of a disk.
    """
    named = folder.resolve() if folder.name in ("", "..") or folder.is_symlink() else folder
    if not named.name:
        raise DataError(f"{folder} cannot be a pool: its records need a folder next to it; choose another folder")
    return named.with_name(named.name + RECORDS)


def image_name(index: int) -> str:
    """Return the path of a kept candidate's image inside the pool's folder."""
    return f"{IMAGES}/{numbered(index)}"


def image_path(folder: Path, index: int, kept: bool) -> Path:
    """Return the path of a candidate's image, kept or rejected."""
    return folder / image_name(index) if kept else record_folder(folder) / REJECTED / numbered(index)


def numbered(index: int) -> str:
    """Return the name of a candidate's image file."""
    return f"{index:05d}.png"


def drawn_folder(folder: Path, settings: dict[str, Any]) -> Path:
    """Return the folder of the candidates that were drawn ahead with these settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return record_folder(folder) / DRAWN / digest[:16]


def discard_pool(folder: Path) -> None:
    """Remove the locked pool in `folder` and its records; the settings go last, so a killed run leaves the old pool."""
    if folder.is_dir():
        discard(folder, [METADATA, CARD, IMAGES])
    discard(record_folder(folder), [CANDIDATES, REJECTED, GATE, DRAWN, SHEET, QUALITY, RUN])


def discard(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders of a locked pool from `folder`, in this order, each completely or not at all.

    A killed process leaves only hidden files, which `Ledger.open` removes.
    """
    gone = Path(tempfile.mkdtemp(prefix=_GONE, dir=folder))
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).rename(gone / Path(name).name)
    shutil.rmtree(gone, ignore_errors=True)


@dataclass
class Ledger:
    """The candidates of a pool judged so far.

    Attributes:
        folder: folder of the pool.
        kept: indices of the kept candidates, in order.
        judged: candidates 0 to judged - 1 are done.
    """

    folder: Path
    kept: list[int]
    judged: int

    @classmethod
    def open(cls, folder: Path) -> "Ledger":
        """Open the ledger that an earlier run left; rows from the first missing candidate on are removed."""
        records = record_folder(folder)
        for inside in (folder, records):
            _sweep(inside)
        rows = _rows_if_there(folder / METADATA)
        listed = {row["index"] for row in rows}
        candidates: list[dict[str, Any]] = []
        for row in _rows_if_there(records / CANDIDATES):
            exists = row["index"] in listed and (folder / image_name(row["index"])).is_file()
            if row["index"] != len(candidates) or (row["kept"] and not exists):
                break
            candidates.append(row)
        _cut(records / CANDIDATES, len(candidates))
        _cut(folder / METADATA, sum(row["index"] < len(candidates) for row in rows))
        return cls(folder, [row["index"] for row in candidates if row["kept"]], len(candidates))

    def enter(self, index: int, row: dict[str, Any] | None, judged: dict[str, Any]) -> None:
        """Record candidate `index`, after its image is written: its `row` (None: rejected) and its verdict."""
        if row is not None:
            _append(self.folder / METADATA, {"file_name": image_name(index)} | row)
            self.kept.append(index)
        _append(record_folder(self.folder) / CANDIDATES, {"index": index, "kept": row is not None} | judged)
        self.judged += 1


def refuse_other_pool(folder: Path) -> None:
    """Check that the pool in `folder` is the one in its records.

    Raises:
        DataError: its rows have another category, seed or model than the records, it holds images that normalgen did
            not make, or `folder` cannot be a pool.
    """
    refuse_file(folder)
    records = record_folder(folder)
    run = read_record(records / RUN)
    if run is None:
        return
    rows, settings = _rows_if_there(folder / METADATA), run["settings"]
    same = all(row.get(name) == settings.get(name) for row in rows for name in ("category", "seed", "model"))
    inside = (folder / IMAGES).iterdir() if (folder / IMAGES).is_dir() else ()
    if not same or any(not re.fullmatch(r"\..*|\d{5,}\.png", path.name) for path in inside):
        raise DataError(f"{folder} holds other images than {records} records; move one of these two folders away")


def _sweep(folder: Path) -> None:
    """Remove leftovers of killed processes from `folder`."""
    for left in folder.glob(f"{_GONE}*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in folder.rglob(f".*{PARTIAL}"):
        if folder / DRAWN not in left.parents:  # another worker may be writing there
            left.unlink(missing_ok=True)


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _cut(path: Path, rows: int) -> None:
    if path.is_file():
        lines = path.read_bytes().splitlines(keepends=True)[:rows]
        with path.open("rb+") as file:
            file.truncate(sum(len(line) for line in lines))


def _rows_if_there(path: Path) -> list[dict[str, Any]]:
    return whole_rows(path) if path.is_file() else []


def whole_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows that were written completely.

    Raises:
        DataError: the file has rows that normalgen did not write.
    """
    rows = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or "index" not in row:
            raise DataError(f"{path} has rows that normalgen did not write; choose another folder")
        rows.append(row)
    return rows
