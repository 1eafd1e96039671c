from itertools import combinations, pairwise

import pytest
import torch
from torch import Tensor

from normalgen.features.coreset import greedy_coreset, projection, radius


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(count: int, size: int = 60) -> Tensor:
    return (20 * vectors(count, 1, 6) + vectors(count, size, 6, seed=1)).flatten(0, 1)


def one_at_a_time(points: Tensor, first: int, count: int) -> list[int]:
    taken, nearest = [first], torch.full((len(points),), torch.inf, dtype=torch.float64)
    while len(taken) < count:
        nearest = nearest.minimum((points - points[taken[-1]]).norm(dim=1))
        taken.append(int(nearest.argmax()))
    return taken


@pytest.mark.parametrize("points", [vectors(700, 5), vectors(300, 100), clusters(10), vectors(3000, 2)], ids=len)
@pytest.mark.parametrize("count", [1, 2, 60, 300])
def test_it_takes_what_taking_one_at_a_time_would_take(points: Tensor, count: int) -> None:
    chosen = greedy_coreset(points, count).tolist()
    assert chosen == one_at_a_time(points, chosen[0], count)


def test_the_first_is_the_farthest_from_a_few_random_ones() -> None:
    points = torch.cat([vectors(100, 3), torch.full((1, 3), 50.0, dtype=torch.float64)])
    assert all(int(greedy_coreset(points, 1, seed=seed)) == 100 for seed in range(5))
    points[-1] = 0
    assert len({int(greedy_coreset(points, 1, seed=seed)) for seed in range(20)}) > 1


def test_more_vectors_never_have_a_larger_radius() -> None:
    points = vectors(100, 8)
    chosen = greedy_coreset(points, 100)
    radii = [radius(points, chosen[:count]) for count in range(1, 101)]
    assert all(more <= few for few, more in pairwise(radii))
    assert radii[-1] < 1e-6 < radii[-2]
    assert sorted(chosen.tolist()) == [*range(100)]


def test_the_radius_is_at_most_twice_the_best() -> None:
    for seed in range(10):
        points = vectors(14, 2, seed=seed)
        best = min(radius(points, torch.tensor(three)) for three in combinations(range(14), 3))
        assert radius(points, greedy_coreset(points, 3, seed=seed)) <= 2 * best


def test_a_crowd_has_a_near_one_though_all_starts_are_in_it() -> None:
    crowd, strays = vectors(1000, 4) / 100, 100 + 10 * vectors(5, 4, seed=1)
    chosen = greedy_coreset(torch.cat([crowd, strays]), 3, seed=0)
    assert (chosen < 1000).any()


def test_copies_are_taken_last_and_once() -> None:
    points = vectors(50, 7).float().repeat(4, 1)
    chosen = greedy_coreset(points, 200)
    assert sorted((chosen[:50] % 50).tolist()) == [*range(50)]
    assert sorted(chosen.tolist()) == [*range(200)]


def test_the_seed_alone_decides() -> None:
    points = vectors(500, 6)
    assert torch.equal(greedy_coreset(points, 40, seed=3), greedy_coreset(points, 40, seed=3))
    assert torch.equal(projection(9, 4, 3), projection(9, 4, 3))
    assert not torch.equal(projection(9, 4, 3), projection(9, 4, 4))


def test_a_projection_keeps_distances_up_to_a_factor() -> None:
    points = vectors(60, 1024).float()
    factor = torch.pdist(points @ projection(1024, 128, 0)) / torch.pdist(points)
    assert factor.std() / factor.mean() < 0.07


@pytest.mark.parametrize("count", [0, 11])
def test_a_coreset_of_no_vectors_or_of_more_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"has 1 to 10 of them, got {count}"):
        greedy_coreset(vectors(10, 2), count)
