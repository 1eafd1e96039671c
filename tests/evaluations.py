"""A drawn category with spoilt parts, and plans to measure detectors on it with a toy model."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from conftest import drawn
from PIL import Image

from normalgen.data.category import Category, TestImage
from normalgen.detectors.specs import DetectorSpec
from normalgen.evaluation.arms import Arm
from normalgen.evaluation.protocol import Plan
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.settings.presets import Preset

ARMS = ("none", "rotations", "augmented", "generated", "both", "real:2", "poisoned:3", "unpoisoned:3")


def item(name: str, image: Image.Image) -> ImageItem:
    buffer = BytesIO()
    image.save(buffer, format="png")
    return ImageItem(name, name, buffer.getvalue)


def spoilt(seed: int) -> tuple[Image.Image, Image.Image]:
    """A drawn part with a white blot, and the blot's mask."""
    picture = np.array(drawn(seed))
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[20 + seed % 5 : 28 + seed % 5, 8:16] = 255
    picture[mask > 0] = 255
    return Image.fromarray(picture), Image.fromarray(mask)


def category(name: str = "disc", masks: bool = True) -> Category:
    normals = Images([item(f"train-{i}.png", drawn(i)) for i in range(6)])
    tests = [TestImage(item(f"good-{i}.png", drawn(100 + i)), "good") for i in range(4)]
    for i in range(8):
        image, mask = spoilt(200 + i)
        tests.append(TestImage(item(f"bad-{i}.png", image), "blot", item(f"mask-{i}.png", mask) if masks else None))
    return Category("drawn", name, "disc", normals, tuple(tests))


def plan(toy: Preset, *arms: str, detectors: tuple[str, ...] = ("memory",), **changes: Any) -> Plan:
    specs, chosen = tuple(map(DetectorSpec.parse, detectors)), tuple(map(Arm.parse, arms or ARMS))
    usual: dict[str, Any] = {"categories": (category(),), "shots": (2,), "seeds": 1, "n": 4, "preset": toy}
    return Plan(**{"detectors": specs, "arms": chosen} | usual | changes)


def results(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows = [json.loads(path.read_text()) for path in sorted(out.rglob("cells/**/*.json"))]
    return {(row["cell"]["detector"], row["cell"]["arm"]): row for row in rows}
