"""Distances of patches, against plain float64, and what `nearest` makes of them."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.quality.coverage_order import MOST, by_coverage
from normalgen.quality.stream import PANEL, Stream, compared


def vectors(*shape: int, seed: int) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def plain(photos: Tensor, others: Tensor) -> Tensor:
    """Half the squared distance of each patch to the nearest patch of each other image, in float64."""
    apart = (photos.double()[:, None, :, None] - others.double()[None, :, None]).pow(2).sum(-1) / 2
    return apart.amin(3)


def stream(photos: Tensor, references: Tensor, seed: int = 0) -> Stream:
    return streams(photos, references, seed)[0]


def streams(photos: Tensor, references: Tensor, seed: int = 0) -> tuple[Stream, Stream]:
    def patches(indices: Sequence[int]) -> Tensor:
        return photos[list(indices)]

    return compared(references, len(photos), patches, seed, lambda done: None)


def test_distances_are_those_of_a_plain_computation() -> None:
    photos, references = vectors(13, 9, 6, seed=1), vectors(3, 9, 6, seed=2)
    found = stream(photos, references)
    assert found.members == tuple(range(13))
    torch.testing.assert_close(found.references.double(), plain(photos, references), atol=2e-3, rtol=2e-3)
    panel, own = plain(photos, photos), torch.eye(13, dtype=torch.bool)
    assert bool(found.panel[own].isinf().all())
    torch.testing.assert_close(found.panel[~own].double(), panel[~own], atol=2e-3, rtol=2e-3)


def test_distances_in_place_are_to_the_same_patch_and_those_around_it() -> None:
    photos, references = vectors(5, 16, 6, seed=1), vectors(2, 16, 6, seed=2)
    found = streams(photos, references)[1]
    apart = (photos.double()[:, None, :, None] - references.double()[None, :, None]).pow(2).sum(-1) / 2
    rows, columns = torch.arange(16) // 4, torch.arange(16) % 4
    beside = ((rows[:, None] - rows).abs() <= 1) & ((columns[:, None] - columns).abs() <= 1)
    expected = apart.masked_fill(~beside, torch.inf).amin(3)
    torch.testing.assert_close(found.references.double(), expected, atol=2e-3, rtol=2e-3)


def test_of_many_photos_a_panel_is_drawn_by_the_seed_alone() -> None:
    photos, references = vectors(PANEL + 14, 4, 6, seed=1), vectors(1, 4, 6, seed=2)
    first, again, other = (stream(photos, references, seed) for seed in (0, 0, 1))
    assert first.panel.shape == (PANEL + 14, PANEL, 4)
    assert first.members == again.members == tuple(sorted({*first.members}))
    assert torch.equal(first.panel, again.panel)
    assert first.members != other.members
    exact = plain(photos, photos[list(first.members)])
    own = first.panel.isinf()
    assert own.nonzero()[::4, :2].tolist() == [[member, at] for at, member in enumerate(first.members)]
    torch.testing.assert_close(first.panel[~own].double(), exact[~own], atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("count", [1, 3, 50])
def test_nearest_is_the_mean_of_the_nearest_trusted_images(count: int) -> None:
    photos, references = vectors(6, 4, 5, seed=3), vectors(2, 4, 5, seed=4)
    trusted = torch.tensor([True, False, True, True, False, True])
    found = stream(photos, references).nearest(trusted, count)
    for photo in range(6):
        others = [index for index in (0, 2, 3, 5) if index != photo]
        apart = torch.cat([plain(photos[photo : photo + 1], part)[0] for part in (references, photos[others])])
        expected = apart.sort(0).values[: min(count, 5)].mean(0)
        torch.testing.assert_close(found[photo].double(), expected, atol=2e-3, rtol=2e-3)


def test_a_photo_alone_is_compared_with_references_alone() -> None:
    photos, references = vectors(1, 4, 5, seed=3), vectors(1, 4, 5, seed=4)
    found = stream(photos, references).nearest(torch.tensor([True]), 3)
    torch.testing.assert_close(found.double(), plain(photos, references)[:, 0], atol=2e-3, rtol=2e-3)


def coarse(patches: Tensor) -> Tensor:
    """Patches averaged 2 x 2, in float64."""
    side = round(patches.shape[1] ** 0.5)
    grid = patches.double().view(len(patches), side // 2, 2, side // 2, 2, -1).mean((2, 4))
    return normalize(grid.flatten(1, 2), dim=-1)


def test_photos_come_farthest_first() -> None:
    references, photos = vectors(2, 16, 6, seed=5), vectors(9, 16, 6, seed=6)
    order = by_coverage(references, photos)
    assert sorted(order) == list(range(9))
    known = coarse(references)
    for chosen in order:
        left = [index for index in range(9) if index not in order[: order.index(chosen)]]
        apart = plain(coarse(photos)[left], known).amin(1).mean(1)
        assert left[int(apart.argmax())] == chosen
        known = torch.cat([known, coarse(photos)[chosen : chosen + 1]])


def test_a_copy_of_a_reference_comes_last_and_only_so_many_are_ordered() -> None:
    references, photos = vectors(1, 4, 6, seed=5), vectors(6, 4, 6, seed=6)
    assert by_coverage(references, torch.cat([references, photos]))[-1] == 0
    many = by_coverage(references, vectors(MOST + 3, 4, 6, seed=7))
    assert sorted(many) == list(range(MOST + 3))
    assert many[MOST:] == sorted(many[MOST:])
