import pytest
import torch
from torch import Tensor

from normalgen.images.defects import KINDS, object_mask, paste, paste_fragment

SIZE = 128


@pytest.fixture
def disc() -> Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    return torch.where(x**2 + y**2 < 0.3, 0.8, 0.2).expand(3, -1, -1).clone()


def test_the_object_is_what_differs_from_the_border(disc: Tensor) -> None:
    mask = object_mask(disc)
    assert (disc[0][mask] == 0.8).all()
    assert mask.sum() > 0.5 * (disc[0] == 0.8).sum()


def test_where_nothing_differs_all_is_object() -> None:
    assert object_mask(torch.full((3, SIZE, SIZE), 0.4)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_lies_on_the_object_and_is_seen(disc: Tensor, kind: str) -> None:
    for seed in range(8):
        image, mask = paste(disc, kind, torch.Generator().manual_seed(seed))
        assert (mask & (disc[0] == 0.8)).any()
        assert 0.0006 < mask.float().mean() < 0.1
        assert (image - disc).abs().mean(0)[mask].max() > 0.15
        assert image.min() >= 0
        assert image.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_defect(disc: Tensor, kind: str) -> None:
    one, again = (paste(disc, kind, torch.Generator().manual_seed(3))[0] for _ in range(2))
    assert torch.equal(one, again)


def test_a_fragment_shows_a_mirrored_part_of_the_object_in_a_corner(disc: Tensor) -> None:
    for seed in range(8):
        image, mask = paste_fragment(disc, torch.Generator().manual_seed(seed))
        assert mask[0, 0] + mask[0, -1] + mask[-1, 0] + mask[-1, -1] == 1
        assert torch.equal(image[:, ~mask], disc[:, ~mask])
        assert (image[0][mask] == 0.8).float().mean() > 0.2
        assert disc[0][mask].max() < 0.8 or mask.float().mean() < 0.07
