"""Reads cells into a frame. A cell is one measurement of a detector fitted on k references and an arm's extra images.

Columns of a frame, besides dataset, category, k, seed, detector, arm and role:
    method, setting: the detector without its settings, and its settings ("" for the defaults).
    arm_kind, arm_size, arm_rank: for "real:8", "real" and 8 (0 if the arm names no size), and a text that sorts arms.
    stream: for "unlabeled:24@0.1", "24@0.1", and arm_size is 0; "" for arms that are not beside unlabeled photos.
    image_auroc and the other metrics: in [0, 1]; NaN if it cannot be measured.
    branches.NAME: image AUROC of a branch; seconds.STAGE: seconds; counts.NAME: number of images of a kind.
    memory_mb: the most memory held, in 10^6 bytes.
    settings.NAME: a setting of the run as text, "settings.preset.size" for a nested one;
        "settings.version.NAME" for a package's version.
"""

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

from annotated_types import Interval
from typing_extensions import TypedDict

from normalgen.errors import DataError
from normalgen.evaluation.studies import ARMS
from normalgen.io.optional import optional_module
from normalgen.io.records import read_json

__all__ = [
    "CELLS",
    "FAILING",
    "Cell",
    "Frame",
    "arm_rank",
    "frame",
    "load_cells",
    "optional",
    "plain",
    "read_cell",
    "sized",
]

CELLS = "cells"
KEY = ["dataset", "category", "k", "seed", "detector", "arm"]
DEFAULTS = {"image_auroc": float("nan"), "counts.extra": 0, "counts.normal": 0, "counts.anomalous": 0}
FAILING = ("no-twins", "wrong", "poisoned", "unpoisoned")
ROUNDING = 1e-9
AGAIN = "remove the file and run normalgen evaluate again"
Rate = Annotated[float, Interval(ge=-ROUNDING, le=1 + ROUNDING)]
Frame: TypeAlias = Any
"""A `pandas.DataFrame`; pandas may be missing, and has no types."""


class Key(TypedDict):
    """The values that identify a cell."""

    dataset: str
    category: str
    k: int
    seed: int
    detector: str
    arm: str


class Cell(TypedDict):
    """The file of a cell; a metric that cannot be measured is null, with the reason in "reasons"."""

    cell: Key
    role: Literal["reporting", "tuning"]
    metrics: dict[str, Rate | None]
    branches: dict[str, Rate]
    counts: dict[str, int]
    settings: dict[str, Any]
    versions: dict[str, Any]
    seconds: dict[str, float | None]
    memory_mb: float | None


NETWORK = "settings.network"
optional = partial(optional_module, extra="evaluate")
"""Imports a module that only the results need."""


def load_cells(folder: Path) -> Frame:
    """All cells under `folder`/cells, sorted by data set, category, k, seed, detector and arm.

    Raises:
        DataError: there are no cells, a file is not a cell, two files are the same cell, or a detector's cells were
            measured with different features; names the files.
        MissingDependency: pandas is not installed.
    """
    files = sorted((folder / CELLS).rglob("*.json"))
    if not files:
        raise DataError(
            f"{folder} holds no results: expected {folder / CELLS}/**/*.json, found none. "
            "Name the folder that normalgen evaluate wrote to, or run normalgen evaluate first"
        )
    cells = optional("pandas").DataFrame([_read(file) for file in files])
    for index in cells.index[cells.duplicated(KEY)]:
        first = (cells[KEY] == cells.loc[index, KEY]).all(axis=1).idxmax()
        key = ", ".join(map(str, cells.loc[index, KEY]))
        raise DataError(f"{files[index]} and {files[first]} are the same cell, {key}; remove one of them")
    _refuse_mixed(cells)
    return cells.sort_values(KEY, ignore_index=True)


def _refuse_mixed(cells: Frame) -> None:
    """Raise DataError if cells of one detector were measured with different features."""
    if NETWORK not in cells:
        return
    for detector, networks in cells[NETWORK].groupby(cells.detector, dropna=False):
        if len(different := sorted(networks.fillna("unknown").unique())) > 1:
            raise DataError(
                f"cells of {detector} were measured with different features, {' and '.join(different)}; measure them "
                "again in another folder, or remove those that you do not want"
            )


def frame(cells: list[dict[str, Any]]) -> Frame:
    """The frame of cells as `normalgen evaluate` writes them; raises KeyError or ValueError for others."""
    return optional("pandas").DataFrame([_row(cast(Cell, cell)) for cell in cells])


def plain(cells: Frame) -> Frame:
    """The cells of detectors with default settings, and all cells of detectors that never ran with the defaults."""
    default = cells.setting == ""
    return cells[default | ~cells.method.isin(cells.method[default])]


def sized(cells: Frame) -> Frame:
    """The cells of arms that have several sizes, such as "generated:4" and "generated:8"."""
    named = cells[cells.arm_size > 0]
    return named[named.groupby("arm_kind").arm_size.transform("nunique") > 1]


def arm_rank(arm: str) -> str:
    """A text that sorts arms as people compare them: from none to the arms that must fail, small sizes first."""
    kind, _, size = arm.partition(":")
    return f"{ARMS.index(kind) if kind in ARMS else len(ARMS):02} {kind} {size:0>9}"


def read_cell(file: Path) -> Cell:
    """Return the cell in `file`.

    Raises:
        DataError: the file is damaged, or not a cell.
    """
    cell = read_json(file, Cell, AGAIN)
    if cell is None:
        raise DataError(f"{file} is missing; run normalgen evaluate again")
    return cell


def _read(file: Path) -> dict[str, Any]:
    try:
        return _row(read_cell(file))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{file} is not a complete cell: {error}; {AGAIN}") from error


def _row(data: Cell) -> dict[str, Any]:
    which, memory = data["cell"], data["memory_mb"]
    detector = re.fullmatch(r"([^\[\]]+)(?:\[(.+)\])?", which["detector"])
    arm = re.fullmatch(r"([^:]+)(?::(\d+)(@[\d.]+)?)?", which["arm"])
    if not arm:
        raise ValueError(f"an arm must be NAME, NAME:NUMBER or NAME:NUMBER@SHARE, got {which['arm']!r}")
    if not detector:
        raise ValueError(f"a detector must be NAME or NAME[settings], got {which['detector']!r}")
    return {
        **{name: which[name] for name in ("dataset", "category", "detector", "arm", "k", "seed")},
        **{"role": data["role"], "method": detector[1], "setting": detector[2] or ""},
        **{"arm_kind": arm[1], "arm_size": 0 if arm[3] else int(arm[2] or 0), "arm_rank": arm_rank(which["arm"])},
        "stream": f"{arm[2]}{arm[3]}" if arm[3] else "",
        **DEFAULTS,
        **{name: float("nan") if value is None else _rate(value) for name, value in data["metrics"].items()},
        **{f"branches.{name}": _rate(value) for name, value in data["branches"].items()},
        **{f"counts.{name}": value for name, value in data["counts"].items()},
        **{f"seconds.{name}": float(value) for name, value in data["seconds"].items() if value is not None},
        "memory_mb": float("nan") if memory is None else float(memory),
        **_flat(data["settings"], "settings."),
        **_flat(data["versions"], "settings.version."),
    }


def _flat(values: dict[str, Any], above: str) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": str(value)}
    return flat


def _rate(value: float) -> float:
    """Return the value, moved to the end of [0, 1] if only rounding put it outside."""
    return min(max(float(value), 0.0), 1.0)
