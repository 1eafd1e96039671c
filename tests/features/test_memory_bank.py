import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.features.memory_bank import MemoryBank, Scatter, Subspace


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_distances_are_those_of_every_pair() -> None:
    bank, queries = vectors(50, 12), vectors(30, 12, seed=1)
    expected = torch.cdist(queries, bank, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    assert torch.allclose(MemoryBank(bank).distances(queries), expected)


def test_distances_are_euclidean_by_hand() -> None:
    bank = MemoryBank(torch.tensor([[0.0, 0.0], [10.0, 0.0]]))
    found = bank.distances(torch.tensor([[3.0, 4.0], [10.0, 2.0], [4.0, 0.0], [6.0, 0.0]]))
    assert torch.allclose(found, torch.tensor([5.0, 2.0, 4.0, 4.0]))


@pytest.mark.parametrize("chunk", [0, 1, 49, 50, 51, 349, 1500, 10_000])
def test_any_chunk_gives_the_same(chunk: int) -> None:
    bank, queries = vectors(50, 12), vectors(30, 12, seed=1)
    assert torch.allclose(MemoryBank(bank, chunk).distances(queries), MemoryBank(bank).distances(queries))


def test_a_member_of_the_bank_is_at_no_distance() -> None:
    members = normalize(vectors(200, 176), dim=1)
    assert MemoryBank(members).distances(members).max() < 1e-7
    assert MemoryBank(members.float()).distances(members).max() < 2e-3
    assert MemoryBank(members[:100]).distances(members[100:]).min() > 0.5


def test_a_larger_bank_is_never_further() -> None:
    bank, queries = vectors(50, 3), vectors(200, 3, seed=1)
    few, many = MemoryBank(bank[:20]).distances(queries), MemoryBank(bank).distances(queries)
    assert (many <= few + 1e-9).all()
    assert (many < few).any()


def test_an_empty_bank_is_infinitely_far() -> None:
    bank = MemoryBank(torch.empty(0, 4))
    assert len(bank) == 0
    assert torch.equal(bank.distances(torch.zeros(2, 3, 4)), torch.full((2, 3), torch.inf))


def test_leading_shapes_are_kept_and_those_of_the_bank_joined() -> None:
    bank, queries = vectors(2, 5, 5, 8), vectors(3, 4, 6, 8, seed=1)
    found = MemoryBank(bank).distances(queries)
    assert (len(MemoryBank(bank)), found.shape) == (50, (3, 4, 6))
    assert torch.allclose(found[2, 1], MemoryBank(bank.reshape(50, 8)).distances(queries[2, 1]))
    assert MemoryBank(bank).distances(queries[0, 0, 0]).shape == ()


def test_queries_take_on_the_precision_of_the_bank() -> None:
    bank, queries = vectors(20, 4).float(), vectors(5, 4, seed=1)
    found = MemoryBank(bank).distances(queries)
    assert found.dtype == torch.float32
    assert torch.equal(found, MemoryBank(bank).distances(queries.float()))


def test_vectors_of_a_subspace_have_no_residual_and_others_their_distance_to_it() -> None:
    directions = torch.linalg.qr(vectors(20, 3)).Q
    offset = vectors(20, seed=1)
    subspace = Subspace(Scatter.of(vectors(500, 3, seed=2) @ directions.T + offset), share=0.999999)
    inside, away = vectors(10, 3, seed=3) @ directions.T + offset, vectors(10, 20, seed=4)
    away = away - away @ directions @ directions.T
    assert subspace.directions.shape == (20, 3)
    assert subspace.residuals(inside.float()).max() < 1e-4
    assert torch.allclose(subspace.residuals((inside + away).float()), away.square().sum(1).float(), rtol=1e-3)


def test_directions_of_little_variance_are_left_out() -> None:
    scales = torch.tensor([10.0, 10.0, 0.1, 0.1], dtype=torch.float64)
    assert Subspace(Scatter.of(vectors(1000, 4) * scales)).directions.shape == (4, 2)


def test_scatters_of_parts_add_up_to_that_of_all() -> None:
    added, expected = Scatter.of(vectors(30, 5)[:12]) + Scatter.of(vectors(30, 5)[12:]), Scatter.of(vectors(30, 5))
    assert added.count == expected.count
    assert torch.allclose(added.products, expected.products)
    assert torch.allclose(added.total, expected.total)


def test_vectors_can_be_taken_away_from_a_scatter() -> None:
    scatter = Scatter.of(vectors(30, 5)) - Scatter.of(vectors(30, 5)[10:20])
    expected = Scatter.of(vectors(30, 5)[[*range(10), *range(20, 30)]])
    assert scatter.count == 20
    assert torch.allclose(scatter.products, expected.products)
    assert torch.allclose(scatter.total, expected.total)
