"""Reads cells into a frame. A cell is one measurement of a detector fitted on k references and an arm's extra images.

Columns of a frame, besides dataset, category, k, seed, detector, arm and role:
    method, setting: the detector without its settings, and its settings ("" for the defaults).
    arm_kind, arm_size, arm_rank: for "real:8", "real" and 8 (0 if the arm names no size), and a text that sorts arms.
    image_auroc and the other metrics: in [0, 1]; NaN if it cannot be measured.
    branches.NAME: image AUROC of a branch; seconds.STAGE: seconds; counts.NAME: number of images of a kind.
    memory_mb: the most memory held, in 10^6 bytes.
    settings.NAME: a setting of the run as text, "settings.preset.size" for a nested one;
        "settings.version.NAME" for a package's version.
"""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from normalgen.errors import DataError
from normalgen.evaluation.studies import ARMS
from normalgen.io.optional import optional_module

__all__ = ["CELLS", "FAILING", "Frame", "arm_rank", "frame", "load_cells", "optional", "plain", "sized"]

CELLS = "cells"
KEY = ["dataset", "category", "k", "seed", "detector", "arm"]
PARTS = ("cell", "role", "metrics", "branches", "counts", "settings", "versions", "seconds", "memory_mb")
DEFAULTS = {"image_auroc": float("nan"), "counts.extra": 0, "counts.normal": 0, "counts.anomalous": 0}
ROLES = ("reporting", "tuning")
FAILING = ("no-twins", "wrong", "poisoned", "unpoisoned")
ROUNDING = 1e-9
AGAIN = "remove the file and run normalgen evaluate again"
T = TypeVar("T")
Frame: TypeAlias = Any
"""A `pandas.DataFrame`; pandas may be missing, and has no types."""


optional = partial(optional_module, extra="evaluate")
"""Imports a module that only the results need."""


def load_cells(folder: Path) -> Frame:
    """All cells under `folder`/cells, sorted by data set, category, k, seed, detector and arm.

    Raises:
        DataError: there are no cells, a file is not a cell, or two files are the same cell; names the files.
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
    return cells.sort_values(KEY, ignore_index=True)


def frame(cells: list[dict[str, Any]]) -> Frame:
    """The frame of cells as `normalgen evaluate` writes them; raises KeyError, TypeError or ValueError for others."""
    return optional("pandas").DataFrame([_row(cell) for cell in cells])


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


def _read(file: Path) -> dict[str, Any]:
    try:
        return _row(json.loads(file.read_text(encoding="utf-8")))
    except KeyError as error:
        raise DataError(f"{file} is not a complete cell: it lacks {error}; {AGAIN}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not a complete cell: {error}; {AGAIN}") from error


def _row(data: dict[str, Any]) -> dict[str, Any]:
    which, role, metrics, branches, counts, settings, versions, seconds, memory = (data[name] for name in PARTS)
    words = {name: _is(str, which[name], name) for name in ("dataset", "category", "detector", "arm")}
    detector = re.fullmatch(r"([^\[\]]+)(?:\[(.+)\])?", words["detector"])
    arm = re.fullmatch(r"([^:]+)(?::(\d+))?", words["arm"])
    if not arm:
        raise ValueError(f"an arm must be NAME or NAME:NUMBER, got {words['arm']!r}")
    if not detector:
        raise ValueError(f"a detector must be NAME or NAME[settings], got {words['detector']!r}")
    if role not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}, got {role!r}")
    return {
        **words,
        **{name: _is(int, which[name], name) for name in ("k", "seed")},
        **{"role": role, "method": detector[1], "setting": detector[2] or ""},
        **{"arm_kind": arm[1], "arm_size": int(arm[2] or 0), "arm_rank": arm_rank(words["arm"])},
        **DEFAULTS,
        **{name: float("nan") if value is None else _rate(name, value) for name, value in metrics.items()},
        **{f"branches.{name}": _rate(name, value) for name, value in branches.items()},
        **{f"counts.{name}": _is(int, value, name) for name, value in counts.items()},
        **{f"seconds.{name}": float(value) for name, value in seconds.items() if value is not None},
        "memory_mb": float("nan") if memory is None else float(memory),
        **_flat(_is(dict, settings, "settings"), "settings."),
        **_flat(_is(dict, versions, "versions"), "settings.version."),
    }


def _flat(values: dict[str, Any], above: str) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": str(value)}
    return flat


def _is(kind: type[T], value: Any, name: str) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r}")
    return value


def _rate(name: str, value: Any) -> float:
    """The value, moved to the end of [0, 1] if only rounding put it outside."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -ROUNDING <= value <= 1 + ROUNDING:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return min(max(float(value), 0.0), 1.0)
