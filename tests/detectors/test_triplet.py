import pytest
import torch

from normalgen.detectors.one_to_normal.shared_banks import KeptMaps, SharedPatchBank
from normalgen.detectors.one_to_normal.triplet import Levels, PatchBank, fuse, image_scores, moments, twin_maps, unit


def levels(count: int, seed: int = 0) -> Levels:
    draw = torch.Generator().manual_seed(seed)
    return unit([torch.randn(count, 4, 4, 8, generator=draw), torch.randn(count, 2, 2, 5, generator=draw)])


def random(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def test_an_image_is_its_own_twin_and_the_opposite_is_two_away() -> None:
    found = levels(3)
    assert all(torch.allclose(each, torch.zeros_like(each), atol=1e-6) for each in twin_maps(found, found))
    opposite = [-level for level in found]
    assert all(torch.allclose(each, torch.full_like(each, 2)) for each in twin_maps(found, opposite))


def test_twins_are_compared_in_place() -> None:
    found = levels(1)
    swapped = [level.flip(1) for level in found]
    expected = 1 - (found[0] * swapped[0]).sum(-1)
    assert torch.allclose(twin_maps(found, swapped)[0], expected)
    assert expected.min() > 1e-3


def test_bank_distances_equal_brute_force() -> None:
    queries, bank = levels(2), levels(5, 1)
    for level, (query, known) in enumerate(zip(queries, bank, strict=True)):
        cosines = query.flatten(0, 2) @ known.flatten(0, 2).T
        assert torch.allclose(PatchBank(bank).maps(queries)[level].flatten(), 1 - cosines.amax(1), atol=1e-5)


def test_what_is_in_the_bank_has_distance_0_and_more_images_never_add_distance() -> None:
    bank, queries = levels(4, 1), levels(3)
    assert max(float(each.max()) for each in PatchBank(bank).maps([level[:2] for level in bank])) < 1e-5
    more = [torch.cat(pair) for pair in zip(bank, levels(6, 2), strict=True)]
    few, many = PatchBank(bank).maps(queries), PatchBank(more).maps(queries)
    assert all((b <= a + 1e-6).all() for a, b in zip(few, many, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(PatchBank(more).without(range(4, 10)).maps(queries), few, strict=True))


@pytest.mark.parametrize("block", [16, 1])
def test_banks_that_share_images_say_what_whole_banks_say_and_ask_each_block_once(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, queries = KeptMaps(block), levels(3)
    references, augmented, generated = levels(2, 1), levels(32, 2), levels(32, 3)
    arms = [[references], [references, augmented], [references, generated], [references, augmented, generated]]
    asked: list[int] = []
    plain = PatchBank.nearest

    def counted(self: PatchBank, some: Levels) -> Levels:
        asked.append(len(self.levels[0]) * len(some[0]))
        return plain(self, some)

    for parts in arms:
        bank = [torch.cat(level) for level in zip(*parts, strict=True)]
        expected = PatchBank(bank).maps(queries)
        with monkeypatch.context() as patched:
            patched.setattr(PatchBank, "nearest", counted)
            found = SharedPatchBank(bank, 2, kept).maps(queries)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, expected, strict=True))
    assert sum(asked) == 3 * (2 + 32 + 32)


def test_standardized_maps_of_the_images_they_were_learnt_from_have_mean_0_and_deviation_1() -> None:
    maps = [random(50, 4, 4) * 3 + 1]
    (found,) = moments(maps, [1.0], by_position=False).standardize(maps)
    assert float(found.mean()) == pytest.approx(0, abs=1e-5)
    assert float(found.std()) == pytest.approx(1, abs=1e-3)


def test_levels_count_by_their_shares() -> None:
    maps = [random(50, 4, 4), random(50, 4, 4)[:, :, torch.arange(3, -1, -1)]]
    usual = moments(maps, [0.75, 0.25], by_position=False)
    fused = fuse({"n": usual.standardize(maps)})
    alone = [moments([level], [1.0], by_position=False).standardize([level])[0] for level in maps]
    assert torch.allclose(fused, 0.75 * alone[0] + 0.25 * alone[1], atol=1e-5)


def test_wide_levels_are_compared_with_their_subspace_too() -> None:
    levels = [random(5, 4, 4, 300), random(5, 2, 2, 8)]
    bank, queries = PatchBank(levels, subspaces=True), [random(2, 4, 4, 300), random(2, 2, 2, 8)]
    assert [tuple(level.shape) for level in bank.maps(queries)] == [(2, 4, 4), (2, 2, 2), (2, 4, 4)]
    assert bank.shares([0.6, 0.4]) == [0.3, 0.4, 0.3]
    assert len(PatchBank(levels).maps(queries)) == 2
    kept = PatchBank([level[[0, 2, 4]] for level in levels], subspaces=True)
    pairs = zip(bank.without([1, 3]).maps(queries), kept.maps(queries), strict=True)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in pairs)


def test_a_floor_by_place_removes_what_is_always_there() -> None:
    draw = torch.Generator().manual_seed(0)
    always = torch.zeros(8, 8)
    always[:, 5:] = 2.0
    maps = [0.1 * torch.rand(40, 8, 8, generator=draw) + always]
    flat, placed = (moments(maps, [1.0], by_position=value).standardize(maps)[0] for value in (False, True))
    assert flat[:, :, 6:].mean() - flat[:, :, :3].mean() > 1
    assert abs(placed[:, :, 7].mean() - placed[:, :, :3].mean()) < 0.2 * abs(
        flat[:, :, 7].mean() - flat[:, :, :3].mean()
    )


def test_paper_scores_are_level_maxima_averaged_then_summed_with_their_weights() -> None:
    branches = {name: [random(2, 4, 4), random(2, 2, 2)] for name in ("p", "n", "text")}
    found = image_scores(branches, "paper", "max")
    alone = {name: (a.flatten(1).amax(1) + b.flatten(1).amax(1)) / 2 for name, (a, b) in branches.items()}
    assert all(torch.allclose(found[name], alone[name]) for name in alone)
    assert torch.allclose(found["fused"], alone["p"] + alone["n"] + 0.5 * alone["text"])


def test_calibrated_scores_reduce_the_fused_map() -> None:
    branches = {"p": [random(3, 16, 16)], "n": [random(3, 16, 16)[:, :, torch.arange(15, -1, -1)]]}
    fused = branches["p"][0] + branches["n"][0]
    assert torch.allclose(fuse(branches), fused)
    assert torch.allclose(image_scores(branches, "calibrated", "max")["fused"], fused.flatten(1).amax(1))
    top = fused.flatten(1).topk(3).values.mean(1)
    assert torch.allclose(image_scores(branches, "calibrated", "top")["fused"], top)


def test_coarse_levels_are_grown_to_the_finest_grid() -> None:
    fine, coarse = torch.zeros(1, 4, 4), torch.ones(1, 2, 2)
    assert torch.allclose(fuse({"n": [fine, coarse]}), torch.full((1, 4, 4), 0.5))
