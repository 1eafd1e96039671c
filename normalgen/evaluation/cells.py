"""One measurement each: a detector, fitted on k references with an arm of extra images, on a category's test images."""

import json
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from normalgen.errors import DataError
from normalgen.evaluation.studies import ARMS

__all__ = [
    "CELLS",
    "FAILING",
    "Cell",
    "Key",
    "arm_kind",
    "arm_rank",
    "arm_size",
    "load_cells",
    "plain",
    "select",
    "sized",
]

CELLS = "cells"
ROLES = ("reporting", "tuning")
FAILING = ("no-twins", "wrong", "poisoned", "unpoisoned")
ROUNDING = 1e-9
Key = tuple[str, str, int, int, str, str]
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        dataset: such as "elpv".
        category: one of its categories.
        k: how many references.
        seed: which chose the references and drew the extra images.
        detector: such as "one-to-normal", or with its settings, "one-to-normal[twins.strength=0.2]".
        arm: what the detector got beside the references, such as "none", "generated" or "real:8".
        role: "reporting", or "tuning" if settings were chosen on this data set.
        metrics: in [0, 1] by name, such as "image_auroc"; None where it cannot be measured.
        branches: image AUROC in [0, 1] by branch; empty for detectors without branches.
        counts: images by what they are: "references", "extra", "normal", "anomalous".
        settings: of the run.
        digests: of what it used.
        versions: of the packages.
        seconds: by stage.
        memory_mb: the most memory held, in 10^6 bytes; None if unknown.
    """

    dataset: str
    category: str
    k: int
    seed: int
    detector: str
    arm: str
    role: str
    metrics: dict[str, float | None]
    branches: dict[str, float]
    counts: dict[str, int]
    settings: dict[str, Any]
    digests: dict[str, Any]
    versions: dict[str, Any]
    seconds: dict[str, float]
    memory_mb: float | None

    @property
    def key(self) -> Key:
        """What no two cells of a folder share."""
        return self.dataset, self.category, self.k, self.seed, self.detector, self.arm

    @property
    def method(self) -> str:
        """The detector without its settings."""
        return self.detector.split("[")[0]

    @property
    def setting(self) -> str:
        """The detector's settings as its name gives them; empty for its defaults."""
        return self.detector[len(self.method) + 1 : -1]


def arm_kind(arm: str) -> str:
    """The arm without its size: "real:8" -> "real"."""
    return arm.split(":")[0]


def arm_size(arm: str) -> int | None:
    """How many images the arm says that it adds: "real:8" -> 8; None if it does not say."""
    return int(arm.split(":")[1]) if ":" in arm else None


def arm_rank(arm: str) -> tuple[int, str, int]:
    """Sorts arms as people compare them: from none to what must fail, small ones first."""
    kind = arm_kind(arm)
    return ARMS.index(kind) if kind in ARMS else len(ARMS), kind, arm_size(arm) or 0


def load_cells(folder: Path) -> list[Cell]:
    """Every cell under `folder`/cells, in order of data set, category, k, seed, detector and arm.

    Raises:
        DataError: there is none; or a file is not a cell, or two are the same one: names the files.
    """
    files = sorted((folder / CELLS).rglob("*.json"))
    if not files:
        raise DataError(
            f"{folder} holds no results: expected {folder / CELLS}/**/*.json, found none. "
            "Name the folder that normalgen evaluate wrote, or run that first"
        )
    found: dict[Key, tuple[Path, Cell]] = {}
    for file in files:
        cell = _read(file)
        if cell.key in found:
            raise DataError(f"{file} and {found[cell.key][0]} are the same cell, {cell.key}; remove one of them")
        found[cell.key] = file, cell
    return [cell for _, (_, cell) in sorted(found.items())]


def select(
    cells: Iterable[Cell],
    *,
    dataset: str | None = None,
    role: str | None = None,
    k: int | None = None,
    detector: str | None = None,
    arms: Container[str] | None = None,
) -> list[Cell]:
    """The cells of which all that is given is true; there may be none."""
    wanted = {"dataset": dataset, "role": role, "k": k, "detector": detector}
    given = {name: value for name, value in wanted.items() if value is not None}
    fitting = [cell for cell in cells if all(getattr(cell, name) == value for name, value in given.items())]
    return fitting if arms is None else [cell for cell in fitting if cell.arm in arms]


def plain(cells: list[Cell]) -> list[Cell]:
    """The cells of detectors with default settings, and all of those that were only run with other ones."""
    defaults = {cell.method for cell in cells if not cell.setting}
    return [cell for cell in cells if not cell.setting or cell.method not in defaults]


def sized(cells: list[Cell]) -> list[Cell]:
    """The cells of arms that come in several sizes, "generated:4" and "generated:8"."""
    sizes: dict[str, set[str]] = {}
    for cell in cells:
        sizes.setdefault(arm_kind(cell.arm), set()).update([cell.arm] if arm_size(cell.arm) is not None else [])
    return [cell for cell in cells if arm_size(cell.arm) is not None and len(sizes[arm_kind(cell.arm)]) > 1]


def _read(file: Path) -> Cell:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return _cell(data)
    except KeyError as error:
        raise DataError(f"{file} is no whole cell, it lacks {error}; remove it and run it again") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is no whole cell ({error}); remove it and run it again") from error


def _cell(data: dict[str, Any]) -> Cell:
    which = data["cell"]
    words = {name: _is(str, which[name], name) for name in ("dataset", "category", "detector", "arm")}
    if not re.fullmatch(r"[^:]+(:\d+)?", words["arm"]):
        raise ValueError(f"an arm is a word, or a word, ':' and a number, got {words['arm']!r}")
    if not re.fullmatch(r"[^\[\]]+(\[.+\])?", words["detector"]):
        raise ValueError(f"a detector is a word, perhaps with settings in brackets, got {words['detector']!r}")
    if data["role"] not in ROLES:
        raise ValueError(f"role is one of {', '.join(ROLES)}, got {data['role']!r}")
    memory = data["memory_mb"]
    return Cell(
        **words,
        k=_is(int, which["k"], "k"),
        seed=_is(int, which["seed"], "seed"),
        role=data["role"],
        metrics={name: None if value is None else _rate(name, value) for name, value in data["metrics"].items()},
        branches={name: _rate(name, value) for name, value in data["branches"].items()},
        counts={name: _is(int, value, name) for name, value in data["counts"].items()},
        settings=_is(dict, data["settings"], "settings"),
        digests=_is(dict, data["digests"], "digests"),
        versions=_is(dict, data["versions"], "versions"),
        seconds={name: float(value) for name, value in data["seconds"].items() if value is not None},
        memory_mb=None if memory is None else float(memory),
    )


def _is(kind: type[T], value: Any, name: str) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is a {kind.__name__}, got {value!r}")
    return value


def _rate(name: str, value: Any) -> float:
    """The value, where it leaves [0, 1] by rounding only, at its end."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -ROUNDING <= value <= 1 + ROUNDING:
        raise ValueError(f"{name} is in [0, 1], got {value!r}")
    return min(max(float(value), 0.0), 1.0)
