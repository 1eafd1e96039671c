"""Patch vectors kept on disk."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import TextSide


class Counting:
    """Features that say how many images they looked at, and differ slightly from batch size to batch size."""

    name = "counting"
    size = 8
    shares = (0.5, 0.5)
    text: TextSide | None = None

    def __init__(self) -> None:
        self.seen = 0

    def tokens(self, images: Tensor) -> list[Tensor]:
        self.seen += len(images)
        images = images + 1e-6 * len(images)
        return [images.permute(0, 2, 3, 1).contiguous(), images[:, :, ::2, ::2].permute(0, 2, 3, 1).contiguous()]

    def image(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_what_is_kept_is_what_the_network_says(images: Tensor, tmp_path: Path) -> None:
    network = Counting()
    for _ in range(2):
        kept = KeptFeatures(network, tmp_path).tokens(images)
        assert all(torch.equal(one, other) for one, other in zip(kept, Counting().tokens(images), strict=True))
    assert network.seen == 5


def test_what_a_killed_run_kept_of_a_batch_changes_no_digit_and_no_order(images: Tensor, tmp_path: Path) -> None:
    whole = KeptFeatures(Counting(), tmp_path).tokens(images)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    for path in [*files][:2]:
        path.unlink()
    again = KeptFeatures(Counting(), tmp_path).tokens(images)
    assert all(torch.equal(one, other) for one, other in zip(again, whole, strict=True))
    assert {path: path.read_bytes() for path in files} == files


def test_another_network_or_image_is_never_taken_for_it(images: Tensor, tmp_path: Path) -> None:
    one, other = Counting(), Counting()
    other.name = "other"
    KeptFeatures(one, tmp_path).tokens(images[:1])
    KeptFeatures(other, tmp_path).tokens(images[:1])
    KeptFeatures(one, tmp_path).tokens(images[:1] * 0.999)
    assert (one.seen, other.seen) == (2, 1)


def test_a_damaged_file_is_made_again(images: Tensor, tmp_path: Path) -> None:
    network = Counting()
    KeptFeatures(network, tmp_path).tokens(images[:1])
    next(tmp_path.glob("*/*")).write_bytes(b"half")
    made = KeptFeatures(network, tmp_path).tokens(images[:1])
    assert all(torch.equal(one, other) for one, other in zip(made, Counting().tokens(images[:1]), strict=True))
    assert network.seen == 2


def test_the_folder_stays_within_its_limit(images: Tensor, tmp_path: Path) -> None:
    kept = KeptFeatures(Counting(), tmp_path, limit=20_000)
    for shade in torch.linspace(0, 1, 30):
        kept.tokens(images[:1] * shade)
    assert 10_000 < sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors")) <= 22_000
