"""Cells as normalgen evaluate writes them, with numbers that one can add up by hand."""

import json
from pathlib import Path
from typing import Any

from normalgen.evaluation.cells import frame
from normalgen.evaluation.table_format import Table
from normalgen.evaluation.tables import every_table

WHICH = {"dataset": "elpv", "category": "elpv", "k": 2, "seed": 0, "detector": "memory", "arm": "none"}


def cell(auroc: float | None, **which: Any) -> dict[str, Any]:
    """A cell as data, with one image AUROC; `which` may give the role, branches and images that join, too."""
    role, branches, extra = which.pop("role", "reporting"), which.pop("branches", {}), which.pop("extra", None)
    cell = WHICH | which
    word, _, size = str(cell["arm"]).partition(":")
    joined = (0 if word == "none" else int(size or 32)) if extra is None else extra
    return {
        "cell": cell,
        "role": role,
        "metrics": {"image_auroc": auroc, "image_ap": auroc, "pixel_auroc": None, "aupro": None},
        "branches": branches,
        "counts": {"references": cell["k"], "extra": joined, "normal": 20, "anomalous": 30},
        "settings": {"n": 32, "preset": {"name": "tiny", "size": 256}},
        "digests": {},
        "versions": {"normalgen": "0.1.0"},
        "seconds": {"fit": 1.0, "predict": 5.0},
        "memory_mb": 900,
    }


def folder(path: Path, cells: list[dict[str, Any]]) -> Path:
    """A results folder with these cells, a file each."""
    for index, data in enumerate(cells):
        file = path / "cells" / data["cell"]["dataset"] / f"{index}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(data))
    return path


def two_arms(differences: dict[tuple[int, str], float], base: float = 0.5, **which: object) -> list[dict[str, Any]]:
    """Cells of `augmented` at `base` and of `generated` above it, by seed and category."""
    return [
        cell(base + more, seed=seed, category=name, arm=arm, **which)
        for (seed, name), difference in differences.items()
        for arm, more in (("augmented", 0.0), ("generated", difference))
    ]


def named(cells: list[dict[str, Any]], name: str) -> Table:
    """The first table of this kind that these cells have."""
    return next(table for table in every_table(frame(cells)) if table.name == name)
