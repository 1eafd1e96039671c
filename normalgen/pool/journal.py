"""The files of a pool: one row per kept image, one row per candidate, and where a killed run resumes."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normalgen.errors import DataError
from normalgen.io.atomic import RECORDS, append_whole
from normalgen.io.notes import note
from normalgen.io.paths import inside, sweep
from normalgen.io.records import Rows, read_json, read_rows, row_line, text_digest
from normalgen.io.run_folder import refuse_file
from normalgen.pool.rows import CandidateRow, ImageRow, PoolRun

__all__ = [
    "CANDIDATES",
    "DRAWN",
    "GATE",
    "METADATA",
    "QUALITY",
    "REJECTED",
    "REPAIRED",
    "RUN",
    "SCREENING",
    "SHEET",
    "Kept",
    "Ledger",
    "discard",
    "discard_pool",
    "drawn_folder",
    "image_fault",
    "image_name",
    "image_path",
    "numbered",
    "read_candidates",
    "read_kept",
    "read_run",
    "record_folder",
    "refuse_other_pool",
]

# In the pool's folder, where data loaders take every image and may take any JSON for data.
METADATA, IMAGES, CARD = "metadata.jsonl", "images", "README.md"
# In the folder of the pool's records.
RUN, CANDIDATES, REJECTED, GATE = "run.json", "candidates.jsonl", "rejected", "gate.json"
DRAWN, SHEET, QUALITY, SCREENING, REPAIRED = "drawn", "contact_sheet.png", "quality.json", "screening", "repaired"
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
    """Remove the locked pool in `folder` and its records, except the settings, which the caller then replaces."""
    if folder.is_dir():
        discard(folder, [METADATA, CARD, IMAGES])
    discard(record_folder(folder), [CANDIDATES, REJECTED, GATE, DRAWN, SHEET, QUALITY])


def discard(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders of a locked pool from `folder`, in this order, each completely or not at all.

    A killed process leaves only hidden files, which `Ledger.open` removes.
    """
    gone = Path(tempfile.mkdtemp(prefix=_GONE, dir=folder))
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).rename(gone / Path(name).name)
    shutil.rmtree(gone, ignore_errors=True)


@dataclass(frozen=True)
class Kept:
    """The rows of a pool's images, as far as they are whole.

    Attributes:
        rows: metadata of the images, in order, up to the first damaged row.
        digests: SHA-256 of each image's file by its name, where one is recorded.
        fault: what is wrong with the records; "" if nothing is.
    """

    rows: list[dict[str, Any]]
    digests: dict[str, str]
    fault: str


def read_candidates(folder: Path) -> Rows[CandidateRow]:
    """Return the rows of the pool's candidates; none if the records are not there."""
    return read_rows(record_folder(folder) / CANDIDATES, CandidateRow)


def read_kept(folder: Path) -> Kept:
    """Return the rows of the pool's images, each checked against the digest in the pool's records; reads no image."""
    found, known = read_rows(folder / METADATA, ImageRow), read_candidates(folder)
    kept = {row["index"]: row for row in known.rows if row["kept"]}
    rows: dict[int, dict[str, Any]] = {}
    digests: dict[str, str] = {}
    for row, line in zip(found.rows, found.lines, strict=True):
        record = kept.pop(row["index"], CandidateRow(index=row["index"], kept=True, reason=""))
        if row["index"] <= max(rows, default=-1) or record.get("row", _digest(line)) != _digest(line):
            return Kept([*rows.values()], digests, f"{METADATA}: line {len(rows) + 1} is not what was written")
        rows[row["index"]] = {**row}
        digests |= {row["file_name"]: record["image"]} if "image" in record else {}
    lacks = f"{METADATA} lacks the image {image_name(min(kept))}" if kept else ""
    faults = (found.fault and f"{METADATA}: {found.fault}", lacks, known.fault and f"{CANDIDATES}: {known.fault}")
    return Kept([*rows.values()], digests, next(filter(None, faults), ""))


def _digest(line: bytes) -> str:
    return text_digest(line.rstrip(b"\r\n"))


def image_fault(folder: Path, row: Mapping[str, Any], digest: str | None) -> str:
    """Return what is wrong with the file of an image, "" if nothing is; without a digest, whether it exists."""
    path = inside(folder, row["file_name"], folder / METADATA)
    if not path.is_file():
        return f"{row['file_name']} is missing"
    if digest not in (None, text_digest(path.read_bytes())):
        return f"{row['file_name']} is not the image that was drawn"
    return ""


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
        """Open the ledger that an earlier run left.

        Rows from the first candidate on that is missing or damaged are removed, with a note if a whole row was there.
        """
        records = record_folder(folder)
        for held in (folder, records):
            _sweep(held)
        known, found = read_candidates(folder), read_kept(folder)
        rows = {row["index"]: row for row in found.rows}
        whole = 0
        for candidate in known.rows:
            if candidate["index"] != whole or (candidate["kept"] and not _is_whole(folder, rows.get(whole), candidate)):
                break
            whole += 1
        _note_cut(folder, whole, _lines(records / CANDIDATES))
        _cut(records / CANDIDATES, whole)
        _cut(folder / METADATA, sum(row["index"] < whole for row in found.rows))
        return cls(folder, [row["index"] for row in known.rows[:whole] if row["kept"]], whole)

    def enter(self, index: int, row: dict[str, Any] | None, judged: dict[str, Any]) -> None:
        """Record candidate `index`, after its image is written: its `row` (None: rejected) and its verdict."""
        entry = {"index": index, "kept": row is not None} | judged
        if row is not None:
            line = row_line({"file_name": image_name(index)} | row)
            data = (self.folder / image_name(index)).read_bytes()
            append_whole(self.folder / METADATA, line)
            entry |= {"image": text_digest(data), "row": _digest(line)}
            self.kept.append(index)
        append_whole(record_folder(self.folder) / CANDIDATES, row_line(entry, digested=True))
        self.judged += 1


def _is_whole(folder: Path, row: Mapping[str, Any] | None, candidate: CandidateRow) -> bool:
    return row is not None and not image_fault(folder, row, candidate.get("image"))


def _note_cut(folder: Path, whole: int, lines: int) -> None:
    """Say how many candidates are made again, though their rows were whole."""
    if whole < lines:
        note(f"{lines - whole} of {lines} candidates of the pool {folder} are missing or damaged, and are made again")


def refuse_other_pool(folder: Path) -> None:
    """Check that the pool in `folder` is the one in its records.

    Raises:
        DataError: its rows have another category, seed or model than the records, it holds images that normalgen did
            not make, or `folder` cannot be a pool.
    """
    refuse_file(folder)
    run = read_run(folder)
    if run is None:
        return
    rows: list[Mapping[str, Any]] = [*read_rows(folder / METADATA, ImageRow).rows]
    settings = {name: run["settings"].get(name) for name in ("category", "seed", "model")}
    foreign = not rows and _lines(folder / METADATA) and not any(row["kept"] for row in read_candidates(folder).rows)
    same = not rows or any(all(row.get(name) == value for name, value in settings.items()) for row in rows)
    images = (folder / IMAGES).iterdir() if (folder / IMAGES).is_dir() else ()
    if foreign or not same or any(not re.fullmatch(r"\..*|\d{5,}\.png", path.name) for path in images):
        records = record_folder(folder)
        raise DataError(f"{folder} holds other images than {records} records; move one of these two folders away")


def read_run(folder: Path) -> PoolRun | None:
    """Return how the pool in `folder` was made; None if that is not recorded.

    Raises:
        DataError: the record is damaged.
    """
    path = record_folder(folder) / RUN
    return read_json(path, PoolRun, f"make the pool again after removing {folder} and {path.parent}")


def _sweep(folder: Path) -> None:
    """Remove leftovers of killed processes from `folder`, but not from where other workers may be writing."""
    for left in folder.glob(f"{_GONE}*"):
        shutil.rmtree(left, ignore_errors=True)
    for part in folder.iterdir() if folder.is_dir() else ():
        if part.is_dir() and part.name != DRAWN and not part.is_symlink():
            sweep(part)
    sweep(folder, deep=False)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _cut(path: Path, rows: int) -> None:
    if path.is_file():
        lines = path.read_bytes().splitlines(keepends=True)[:rows]
        with path.open("rb+") as file:
            file.truncate(sum(len(line) for line in lines))
