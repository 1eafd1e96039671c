"""Repairs: what a region is filled from, and that only what then passes counts as repaired."""

import math

import pytest
import torch
from conftest import drawn
from torch import Tensor

from normalgen.diffusion.model import NormalModel
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.images import to_tensor
from normalgen.quality.exemplar import filled
from normalgen.quality.repair import Repairing, pixel_mask
from normalgen.settings.presets import change

SIDE = 64


def stripes(shift: int, brightness: float = 0.5) -> Tensor:
    wave = torch.sin((torch.arange(SIDE) + shift) * 2 * math.pi / 16) * 0.3 + brightness
    return wave.expand(3, SIDE, SIDE).clone()


def spot() -> Tensor:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[24:40, 20:36] = True
    return mask


def test_a_region_comes_from_where_its_surroundings_are_alike() -> None:
    whole, mask = stripes(0), spot()
    photo = torch.where(mask, 0.0, whole)
    found = filled(photo, mask, torch.stack([stripes(8), stripes(0).mT, stripes(3)]))
    assert (found.image - whole).abs().max() < 1e-3


@pytest.mark.parametrize("brightness", [0.4, 0.6])
def test_a_darker_or_lighter_photo_fills_a_region_without_an_edge(brightness: float) -> None:
    whole, mask = stripes(0), torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[:, 8:56] = True
    mask[:4] = mask[-4:] = False
    found = filled(torch.where(mask, 0.0, whole), mask, stripes(0, brightness)[None])
    assert (found.image - whole).abs().max() < 0.02
    assert found.donors == (0,)


def test_a_texture_is_not_filled_from_a_flat_photo() -> None:
    photo, mask = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)), spot()
    found = filled(photo, mask, torch.full((2, 3, SIDE, SIDE), 0.5))
    assert found.donors == ()
    assert found.image[:, mask].std() == pytest.approx(float(photo.std()), rel=0.25)


def test_a_mask_of_patches_is_stretched_to_pixels() -> None:
    mask = torch.zeros(256, dtype=torch.bool)
    mask[17] = True
    rows, columns = pixel_mask(mask, 64).nonzero(as_tuple=True)
    assert [int(part) for part in (rows.min(), rows.max(), columns.min(), columns.max())] == [4, 7, 4, 7]


def photo(seed: int) -> Tensor:
    return (to_tensor(drawn(seed, SIDE), SIDE) * 255).round().to(torch.uint8)


def test_a_photo_is_repaired_if_nothing_is_unusual_then(model: NormalModel) -> None:
    sized = model.using(change(model.preset, size=SIDE))
    good = torch.stack([photo(seed) for seed in range(6)])
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:8, 4:8] = True
    pixels = pixel_mask(mask.flatten(), SIDE)
    bad = torch.where(pixels, torch.tensor([255, 0, 0])[:, None, None].to(torch.uint8), good[5])
    features, limits = CnnFeatures(size=SIDE), {"photo": 0.5, "photo in place": 0.5}
    repairing = Repairing(sized, good[:2], good[2:5], features, limits, 0)
    found = repairing.repair(bad, mask.flatten(), "a")
    assert found is not None
    assert found.score <= 1
    assert found.share == 16 / 256
    after = (found.image * 255).round().to(torch.uint8)
    assert torch.equal(after[:, ~pixels], bad[:, ~pixels])
    assert not torch.equal(after, bad)
    elsewhere = mask.roll(8, 0).flatten()
    limits |= {"photo": found.score * 0.5 + 1e-6, "photo in place": found.score * 0.5 + 1e-6}
    assert repairing.repair(bad, mask.flatten(), "a") is not None
    assert repairing.repair(bad, elsewhere, "a") is None
