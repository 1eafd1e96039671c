"""Copies of a photo are found by their pixels, and different parts are never taken for copies."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from normalgen.data.queries import find_queries
from normalgen.images.copies import COMPARED, Copies, reduced
from normalgen.images.images import Images, to_tensor


def photos() -> list[Image.Image]:
    """Twelve windows of a texture, a scene and a portrait that do not overlap."""
    sources = [Image.fromarray(values).convert("RGB") for values in (data.brick(), data.camera(), data.astronaut())]
    boxes = [(x, y, x + 250, y + 250) for x in (0, 256) for y in (0, 256)]
    return [source.crop(box) for source in sources for box in boxes]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=quality)
    return Image.open(stream).convert("RGB")


def pixels(image: Image.Image) -> Tensor:
    return reduced((to_tensor(image, COMPARED) * 255).round().to(torch.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": lambda image: jpeg(image, 60),
    "smaller": lambda image: image.resize((180, 180), Image.Resampling.LANCZOS),
    "cropped": lambda image: jpeg(image.crop((5, 2, 244, 243)), 85),
    "brighter": lambda image: image.point([min(255, level + 12) for level in range(256)] * 3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found(change: str) -> None:
    known = photos()
    copies = Copies([pixels(image) for image in known])
    found = [copies.find(pixels(CHANGES[change](image))) for image in known]
    assert sum(index == i for i, index in enumerate(found)) >= 11
    assert all(index in (None, i) for i, index in enumerate(found))


def test_other_photos_of_the_same_thing_are_no_copies() -> None:
    known = [pixels(image) for image in photos()]
    assert [Copies(known[:i] + known[i + 1 :]).find(image) for i, image in enumerate(known)] == [None] * len(known)
    assert Copies([]).find(known[0]) is None


def test_photos_without_structure_tell_nothing() -> None:
    noise = torch.Generator().manual_seed(0)
    flat = [reduced((torch.randn(3, 256, 256, generator=noise) * 0.5 + 140).to(torch.uint8)) for _ in range(2)]
    assert Copies(flat[:1]).find(flat[1]) is None


def test_the_label_of_a_copy_of_a_reference_does_not_count(tmp_path: Path) -> None:
    for folder in ("good", "mixed/good", "mixed/bad"):
        (tmp_path / folder).mkdir(parents=True)
    first, second, third = photos()[:3]
    first.save(tmp_path / "good" / "a.png")
    CHANGES["cropped"](first).save(tmp_path / "mixed/good/again.jpg")
    second.save(tmp_path / "mixed/good/b.png")
    third.save(tmp_path / "mixed/bad/c.png")
    queries = find_queries(tmp_path / "mixed").unmeasured((), Images.from_folder(tmp_path / "good"))
    knows = queries.knows(256)
    ((read, _),) = queries.batches(256, 8)
    assert [photo.name for photo in read if knows(photo)] == ["good/again.jpg"]
