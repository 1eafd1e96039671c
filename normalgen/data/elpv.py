"""ELPV: electroluminescence images of solar cells (Buerhop-Lutz et al. 2018), from the package `elpv-dataset`.

Its images are CC BY-NC-SA 4.0: no commercial use. Normal is a defect probability of 0.
"""

from importlib.util import find_spec
from pathlib import Path

from normalgen.data.category import Category
from normalgen.errors import DataError, MissingDependency
from normalgen.images import ImageItem, Images

__all__ = ["ELPV", "elpv_category"]

ELPV = {"elpv-mono": "mono", "elpv-poly": "poly"}


def elpv_category(name: str) -> Category:
    """The cells of one wafer type, "elpv-mono" or "elpv-poly", with defect probability 0.

    Raises:
        MissingDependency: the package is not installed.
    """
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise MissingDependency(f"{name} needs the package elpv-dataset: pip install elpv-dataset")
    folder = Path(spec.origin).parent / "data"
    files = [
        folder / path
        for path, probability, kind in _rows(folder / "labels.csv")
        if probability == 0 and kind == ELPV[name]
    ]
    normals = Images([ImageItem(file.name, str(file), file.read_bytes) for file in sorted(files)])
    return Category("elpv", name, "solar cell", normals)


def _rows(labels: Path) -> list[tuple[str, float, str]]:
    try:
        lines = [line.split() for line in labels.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [(path, float(probability), kind) for path, probability, kind in lines]
    except (OSError, ValueError) as error:
        raise DataError(f"{labels} is not ELPV's list of cells ({error}); reinstall elpv-dataset") from error
