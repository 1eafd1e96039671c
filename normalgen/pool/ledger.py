"""The books of a pool on disk: a row for each kept image, a row for each candidate, and how far a killed run came."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normalgen.errors import DataError
from normalgen.files import PARTIAL

__all__ = [
    "ASIDE",
    "CANDIDATES",
    "DRAWN",
    "GATE",
    "IMAGES",
    "METADATA",
    "REJECTED",
    "Ledger",
    "discard",
    "drawn_folder",
    "image_name",
    "numbered",
    "whole_rows",
]

METADATA, IMAGES = "metadata.jsonl", "images"
# Data loaders pass over __names__; beside a single image they would take a run.json for the data.
ASIDE = "__normalgen__"
CANDIDATES, REJECTED, GATE = f"{ASIDE}/candidates.jsonl", f"{ASIDE}/rejected", f"{ASIDE}/gate.json"
DRAWN = f"{ASIDE}/drawn"
_GONE = ".gone-"


def image_name(index: int, kept: bool) -> str:
    """Where the image of a candidate lies in the pool's folder."""
    return f"{IMAGES if kept else REJECTED}/{numbered(index)}"


def numbered(index: int) -> str:
    """What the image of a candidate is called, wherever it lies."""
    return f"{index:05d}.png"


def drawn_folder(folder: Path, settings: dict[str, Any]) -> Path:
    """Where candidates that were drawn ahead under these settings wait for their verdict; no others lie there."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return folder / DRAWN / digest[:16]


def discard(folder: Path, names: Iterable[str]) -> None:
    """Remove files and folders of the locked pool in `folder`, one after the other, each whole or not at all.

    What a killed process leaves of them is hidden, and `Ledger.open` sweeps it up.
    """
    gone = Path(tempfile.mkdtemp(prefix=_GONE, dir=folder))
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).rename(gone / Path(name).name)
    shutil.rmtree(gone, ignore_errors=True)


@dataclass
class Ledger:
    """What was judged so far.

    Attributes:
        folder: the pool's.
        kept: the indices in the pool, in order.
        judged: candidates 0 to judged - 1 are done.
    """

    folder: Path
    kept: list[int]
    judged: int

    @classmethod
    def open(cls, folder: Path) -> "Ledger":
        """The books as a killed run left them: candidates from 0 on, as far as nothing is missing; the rest is cut."""
        for left in folder.glob(f"{_GONE}*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in folder.rglob(f".*{PARTIAL}"):
            if folder / DRAWN not in left.parents:  # another worker may be writing there
                left.unlink(missing_ok=True)
        rows = _rows_if_there(folder / METADATA)
        listed = {row["index"] for row in rows}
        candidates: list[dict[str, Any]] = []
        for row in _rows_if_there(folder / CANDIDATES):
            there = row["index"] in listed and (folder / image_name(row["index"], True)).is_file()
            if row["index"] != len(candidates) or (row["kept"] and not there):
                break
            candidates.append(row)
        _cut(folder / CANDIDATES, len(candidates))
        _cut(folder / METADATA, sum(row["index"] < len(candidates) for row in rows))
        return cls(folder, [row["index"] for row in candidates if row["kept"]], len(candidates))

    def enter(self, index: int, row: dict[str, Any] | None, judged: dict[str, Any]) -> None:
        """Book candidate `index`, whose image is written: its `row` in the pool (None: rejected), and its verdict."""
        if row is not None:
            _append(self.folder / METADATA, {"file_name": image_name(index, True)} | row)
            self.kept.append(index)
        _append(self.folder / CANDIDATES, {"index": index, "kept": row is not None} | judged)
        self.judged += 1


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
    """The rows that were written whole.

    Raises:
        DataError: rows that this package did not write.
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
            raise DataError(f"{path} has rows that this command did not write; choose another folder")
        rows.append(row)
    return rows
