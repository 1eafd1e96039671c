"""What generate, detect and evaluate gave before: a change of the code's shape may not change a number.

`python tests/test_goldens.py` writes the numbers again, if they are meant to change.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from normalgen.cli import main

GOLDENS = Path(__file__).parent / "goldens.json"
DRAW = Path(__file__).parent.parent / "examples" / "draw_parts.py"
SMALL = ("--size", "64", "--training-steps", "6", "--device", "cpu")


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert not end.value.code


def draw(folder: str, *words: str) -> None:
    assert not os.system(f"{sys.executable} {DRAW} {folder} {' '.join(words)}")


def layout() -> Path:
    """Drawn brackets in MVTec layout."""
    root = Path("data/bracket")
    draw("data/bracket/train/good", "--count", "5")
    draw("data/bracket/test", "--count", "6", "--seed", "1", "--defective", "3")
    for kind, label in (("bracket", "good"), ("defective", "hole")):
        (root / "test" / label).mkdir()
        for file in (root / "test").glob(f"{kind}-*.png"):
            file.rename(root / "test" / label / file.name)
    return root.parent


def thumbnails(folder: Path) -> dict[str, list[int]]:
    """The images in the pool, each as 8 x 8 means of its brightness."""
    files = sorted((folder / "images").glob("*.png"))
    grey = {file.name: np.asarray(Image.open(file).convert("L"), float) for file in files}
    return {
        name: np.rint(values.reshape(8, 8, 8, 8).mean((1, 3))).astype(int).ravel().tolist()
        for name, values in grey.items()
    }


def numbers() -> dict[str, Any]:
    """Everything that is held, made in the folder where we are."""
    data = layout()
    run("generate", "data/bracket/train/good", "-k", "2", "-n", "8", "--mix", "0.5", "--no-gate", *SMALL)
    pool = Path("pools/bracket")
    rows = [json.loads(line) for line in (pool / "metadata.jsonl").read_text().splitlines()]
    given = ("--references", "data/bracket/train/good", "-k", "2", "--pool", str(pool))
    run("detect", "data/bracket/test", *given, "--model", "models/bracket", "--device", "cpu")
    results = [json.loads(line) for line in Path("detections/bracket/results.jsonl").read_text().splitlines()]
    few = ("--shots", "2", "--seeds", "1", "-n", "2", "--no-gate", "--training-steps", "2", "--device", "cpu")
    run(
        "evaluate",
        "--dataset",
        "folder",
        "--data",
        str(data),
        *few,
        "--arms",
        "none,generated",
        "--detectors",
        "memory[grid=1],one-to-normal[branches=p]",
    )
    cells = [json.loads(path.read_text()) for path in sorted(Path("evaluation/cells").rglob("*.json"))]
    return {
        "pool": thumbnails(pool),
        "rows": {row["file_name"]: [row["mode"], row["prompt"], row["reference"]] for row in rows},
        "scores": {row["file"]: [row["score"], *row["scores"].values()] for row in results},
        "cells": {f"{cell['cell']['detector']} {cell['cell']['arm']}": cell["metrics"] for cell in cells},
    }


def test_generate_detect_and_evaluate_give_what_they_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known, found = json.loads(GOLDENS.read_text()), numbers()
    assert found["rows"] == known["rows"]
    for name, image in known["pool"].items():
        assert np.abs(np.subtract(found["pool"][name], image)).max() <= 1, name
    for name, scores in known["scores"].items():
        assert found["scores"][name] == pytest.approx(scores, rel=5e-3, abs=5e-3), name
    assert found["cells"].keys() == known["cells"].keys()
    for name, metrics in known["cells"].items():
        assert found["cells"][name] == pytest.approx(metrics, abs=5e-3), name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = folder
        GOLDENS.write_text(json.dumps(numbers(), indent=1) + "\n")
