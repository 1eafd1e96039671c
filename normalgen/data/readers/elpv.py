"""ELPV: electroluminescence images of solar cells (Buerhop-Lutz et al. 2018), from the package `elpv-dataset`.

Its images are CC BY-NC-SA 4.0: no commercial use. Normal is a defect probability of 0, anomalous one of 1; the cells in
between are left out, as by InCTRL (Zhu and Pang 2024).
"""

from importlib.util import find_spec
from pathlib import Path

from normalgen.data.category import Category, TestImage
from normalgen.data.split import split
from normalgen.errors import DataError, MissingDependency
from normalgen.images.decode import file_item
from normalgen.io.paths import inside

__all__ = ["ELPV", "elpv"]

NOUN = "solar cell"
ELPV = {"elpv": ("mono", "poly"), "elpv-mono": ("mono",), "elpv-poly": ("poly",)}


def elpv(name: str = "elpv") -> Category:
    """Return the cells of one wafer type, "elpv-mono" or "elpv-poly", or of both, "elpv".

    Of both: 1131 normals to choose from, and 377 normal and 715 anomalous test images.

    Raises:
        MissingDependency: the package is not installed.
    """
    normal, anomalous = _cells(name)
    normals, good = split(map(file_item, normal))
    return Category(name, name, NOUN, normals, (*good, *(TestImage(file_item(file), "defect") for file in anomalous)))


def _cells(name: str) -> tuple[list[Path], list[Path]]:
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise MissingDependency(f"{name} needs the package elpv-dataset: pip install elpv-dataset")
    folder = Path(spec.origin).parent / "data"
    table = folder / "labels.csv"
    rows = [(inside(folder, path, table), value) for path, value, kind in _rows(table) if kind in ELPV[name]]
    return tuple(sorted(file for file, value in rows if value == wanted) for wanted in (0, 1))  # type: ignore[return-value]


def _rows(labels: Path) -> list[tuple[str, float, str]]:
    try:
        lines = [line.split() for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]
        rows = [(path, float(probability), kind) for path, probability, kind in lines]
        if any(not 0 <= probability <= 1 or kind not in ("mono", "poly") for _, probability, kind in rows):
            raise ValueError("a probability outside [0, 1], or a kind that is neither mono nor poly")
    except (OSError, ValueError) as error:
        raise DataError(f"{labels} is not ELPV's list of cells ({error}); reinstall elpv-dataset") from error
    return rows
