"""What stands in the folder that each bad input starts with."""

import os
import shutil
from pathlib import Path

from conftest import drawn
from detecting import crossed, run
from PIL import Image
from result_cells import cell, folder

TOY = ["--weights", "prior", "--size", "32", "--training-steps", "2", "--device", "cpu"]


def make_world(prior: Path, root: Path) -> Path:
    """Return `root` with photos, a data set, a model, a pool, a detector, results and a manifest."""
    shutil.copytree(prior, root / "prior")
    _draw(root / "good", range(6))
    _draw(root / "more", range(40, 44))
    _draw(root / "mixed/good", range(20, 23))
    (root / "mixed/cross").mkdir()
    for seed in range(30, 32):
        crossed(seed).save(root / "mixed/cross" / f"{seed}.png")
    _set(root / "set/disc")
    folder(root / "results", [cell(0.5), cell(0.75, arm="augmented")])
    before = Path.cwd()
    os.chdir(root)
    try:
        assert run("customize", "good", *TOY) == 0
        assert run("generate", "good", *TOY, "-n", "3", "--plain", "1", "--gate") == 0
        few = ["--plain", "0", "--no-gate", "--sampling-steps", "4", "--strength", "0.5", "--out", "pools/drawn"]
        assert run("generate", "good", *TOY, "-n", "3", *few) == 0
        words = ["--references", "good", *TOY, "--branches", "n", "--pool", "pools/good", "--out", "detections/good"]
        assert run("detect", "mixed", *words, "--save", "detector") == 0
    finally:
        os.chdir(before)
    shutil.copy(root / "models/good/references.json", root / "shots.json")
    return root


def _draw(folder: Path, seeds: range) -> None:
    folder.mkdir(parents=True)
    for seed in seeds:
        drawn(seed).save(folder / f"{seed}.png")


def _set(category: Path) -> None:
    """A category of parts, and parts with white blots and their masks, in MVTec layout."""
    _draw(category / "train/good", range(50, 53))
    _draw(category / "test/good", range(60, 62))
    _draw(category / "test/blot", range(0))
    (category / "ground_truth/blot").mkdir(parents=True)
    for number in range(2):
        spoilt, mask = drawn(70 + number), Image.new("L", (40, 40))
        for image, colour in ((spoilt, "white"), (mask, 255)):
            image.paste(colour, (8, 20, 16, 28))
        spoilt.save(category / "test/blot" / f"{number}.png")
        mask.save(category / "ground_truth/blot" / f"{number}_mask.png")
