"""normalgen detect as users type it, on a few drawn photos."""

import json
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
