"""normalgen detect as users type it, on a few drawn photos."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import drawn
from PIL import Image, ImageDraw

from normalgen.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def crossed(seed: int) -> Image.Image:
    image = drawn(seed)
    pen = ImageDraw.Draw(image)
    pen.line((10, 15, 26, 31), "black", 4)
    pen.line((10, 31, 26, 15), "black", 4)
    return image


def detect(*words: str) -> int:
    few = ["--references", "good", "-k", "2", "--rate", "0.1", "--device", "cpu", "--out", "out"]
    return run("detect", "mixed", *few, *words)


def rows() -> list[dict[str, object]]:
    return [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]


def bank_images() -> int:
    return int(json.loads(Path("out/run.json").read_text())["settings"]["bank_images"])


def draw_set(root: Path, photos: Path) -> None:
    """Draw labelled queries, `root`/mixed, and a data set with them as its tests and `photos` to learn from."""
    for label, make, seeds in (("good", drawn, range(20, 23)), ("cross", crossed, range(30, 32))):
        for folder in (root / "mixed" / label, root / "data/disc/test" / label):
            folder.mkdir(parents=True)
            for seed in seeds:
                make(seed).save(folder / f"{seed}.png")
    shutil.copytree(photos, root / "data/disc/train/good")
