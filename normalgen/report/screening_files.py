"""Writes the files of a screening: a table, and a page with every photo and what is unusual in it."""

import csv
import io
import json
import math
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, NotRequired

from torch import Tensor
from typing_extensions import TypedDict

from normalgen.errors import DataError
from normalgen.images.images import Images
from normalgen.io.atomic import named, write_whole
from normalgen.io.outputs import RUN, replacing
from normalgen.io.progress import Watch, silent
from normalgen.io.records import read_json, row_line
from normalgen.quality.screen import Screening
from normalgen.report.detection_page import Pictures, write_page
from normalgen.report.pictures import overlay
from normalgen.report.shown import Shown
from normalgen.report.spool import Spool

__all__ = [
    "MADE_BY",
    "PAGE",
    "SUGGESTED_BY",
    "TABLE",
    "ScreeningRecord",
    "copy_screening",
    "need_same_screening",
    "read_screening",
    "write_screening",
    "write_suggestions",
]

MADE_BY, PAGE, TABLE = "normalgen screen", "report.html", "screening.csv"
SUGGESTED_BY = "normalgen suggest"
FILES = (PAGE, TABLE, "screening.jsonl")
DECIDES = {"photos": "unlabeled photos", "references": "references", "contamination": "--contamination"}
DECIDES |= {"features": "--gate-features", "seed": "--seed"}
WIDEST, BRIGHTEST = 320, 2.0
"""Most pixels of a picture's longer side, and the distance, per patch limit, with the strongest colour."""


class ScreeningRecord(NamedTuple):
    """What a screening found.

    Attributes:
        kept: names of the kept photos, ordered by what they add.
        sentences: for people.
        verdicts: by name.
        passed: why other photos were passed over, by name.
        groups: names of photos that share something no reference shows.
        refused: why none of the photos can be used; "" if some can.
        masks: the unusual patches of each suspicious photo that has some, by name, as a text of 0 and 1.
        limits: the cut-offs.
    """

    kept: list[str]
    sentences: list[str]
    verdicts: dict[str, str]
    passed: dict[str, str]
    groups: list[list[str]]
    refused: str
    masks: dict[str, str]
    limits: dict[str, float]


class _Run(TypedDict):
    """`run.json`."""

    settings: dict[str, Any]
    limits: NotRequired[dict[str, float]]
    found: NotRequired[ScreeningRecord]


def read_screening(folder: Path, settings: Mapping[str, Any]) -> ScreeningRecord | None:
    """Return what a finished screening with these settings found; None if there is none, or a file of it is missing."""
    try:
        run = read_json(folder / RUN, _Run, "")
    except DataError:
        return None
    if run is None or "found" not in run or run["settings"] != json.loads(json.dumps(settings)):
        return None
    if not all((folder / name).is_file() for name in FILES):
        return None
    return ScreeningRecord(*run["found"])


def need_same_screening(folder: Path, settings: Mapping[str, Any], pool: Path) -> None:
    """Check that the screening in `folder`, if there is one, had these settings: a pool was made from what it kept.

    Raises:
        DataError: it had others.
    """
    try:
        run = read_json(folder / RUN, _Run, "")
    except DataError:
        return
    before = {} if run is None else run["settings"]
    now = json.loads(json.dumps(settings))
    others = [words for name, words in DECIDES.items() if before and before.get(name) != now.get(name)]
    if others:
        raise DataError(
            f"{pool} was made from another screening: other {' and '.join(others)}; give the same, choose another "
            "folder, or replace the old files with --overwrite"
        )


def copy_screening(source: Path, folder: Path, settings: Mapping[str, Any]) -> ScreeningRecord | None:
    """Copy a finished screening with these settings into `folder`, and return what it found; None if there is none.

    Raises:
        DataError: the folder holds other files, or is in use.
    """
    record = None if source == folder else read_screening(source, settings)
    run = None if record is None else read_json(source / RUN, _Run, "")
    if record is None or run is None:
        return None
    with replacing(folder, MADE_BY, FILES) as outputs:
        for name in FILES:
            write_whole(outputs.path(name), partial(shutil.copyfile, source / name))
        outputs.record = {"settings": {**settings}, "limits": run.get("limits", {}), "found": record}
    return record


def write_screening(
    folder: Path,
    images: Images,
    screening: Screening,
    record: ScreeningRecord,
    settings: Mapping[str, Any],
    *,
    title: str,
    watch: Watch = silent,
) -> None:
    """Write `report.html`, `screening.csv` and `screening.jsonl`, the most unusual photo first.

    Args:
        folder: a new folder, or one of an earlier screening, whose files are replaced.
        images: the screened photos.
        screening: the verdicts on them.
        record: what it found, for `read_screening`.
        settings: everything that decides the result.
        title: title of the page.
        watch: receives the progress of "page".

    Raises:
        DataError: the folder holds other files, or is in use.
    """
    ranks = screening.scores.argsort(descending=True).argsort().tolist()
    rows = [
        Shown(name, float(score), {}, rank + 1, verdict, None)
        for name, score, rank, verdict in zip(images.names, screening.scores, ranks, screening.verdicts, strict=True)
    ]
    rows += [Shown(name, 0.0, {}, 0, "", None, error=reason) for name, reason in record.passed.items()]
    with replacing(folder, MADE_BY, FILES) as outputs, named(folder), TemporaryFile(dir=folder) as waiting:
        pictures, side = Pictures(Spool(waiting)), math.isqrt(screening.maps.shape[1])
        for index, values in enumerate(screening.maps):
            _draw(pictures, images, index, values.view(side, side))
            watch("page", index + 1, len(images))
        ordered = sorted(rows, key=lambda row: (bool(row.error), row.rank))
        outputs.text(TABLE, _table(ordered))
        outputs.text("screening.jsonl", "".join(row_line(_plain(row)).decode() for row in ordered))
        outputs.record = {"settings": {**settings}, "found": record}
        write_page(
            outputs.path(PAGE),
            ordered,
            pictures,
            title=title,
            facts=[(verdict, str(screening.verdicts.count(verdict))) for verdict in dict.fromkeys(screening.verdicts)],
            threshold_text=" ".join(record.sentences),
            scale=(1.0, BRIGHTEST),
        )


def write_suggestions(folder: Path, images: Images, reasons: list[str], title: str, sentence: str) -> None:
    """Write `report.html` with photos that a person should look at, in order.

    Args:
        folder: a new folder, or one of earlier suggestions, whose page is replaced.
        images: the photos.
        reasons: why each is suggested.
        title: title of the page.
        sentence: what to do, for people.

    Raises:
        DataError: the folder holds other files, or is in use.
    """
    with replacing(folder, SUGGESTED_BY, (PAGE,)) as outputs, named(folder), TemporaryFile(dir=folder) as waiting:
        pictures, shown = Pictures(Spool(waiting)), []
        for index, (name, reason) in enumerate(zip(images.names, reasons, strict=True)):
            picture = images.photo(index, 1, WIDEST).picture
            if picture is not None:
                pictures.add_query(name, picture, None, "photo")
            shown.append(Shown(name, math.nan, {}, index + 1, reason, None))
        page = outputs.path(PAGE)
        write_page(page, shown, pictures, title=title, facts=[], threshold_text=sentence, scale=(1.0, BRIGHTEST))


def _draw(pictures: Pictures, images: Images, index: int, values: Tensor) -> None:
    name, picture = images.names[index], images.photo(index, 1, WIDEST).picture
    if picture is not None:
        pictures.add_query(name, picture, None, "photo")
        pictures.add_map(name, overlay(picture, values, 1.0, BRIGHTEST))


def _plain(row: Shown) -> dict[str, object]:
    return {
        "file": row.name,
        "rank": row.rank,
        "score": round(row.score, 4),
        "verdict": row.verdict,
        "reason": row.error,
    }


def _table(rows: list[Shown]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, ["file", "rank", "score", "verdict", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_plain, rows))
    return table.getvalue()
