"""Which references are left out to calibrate, and how tiles are put together."""

import pytest
import torch

from normalgen.detectors.one_to_normal.left_out import BankWithout, left_out, sample, trials
from normalgen.detectors.one_to_normal.stitching import Canvas, highest
from normalgen.detectors.one_to_normal.triplet import Levels, PatchBank, unit
from normalgen.images.defects import KINDS
from normalgen.images.tiles import windows
from normalgen.images.turning import turnable


def digests(count: int) -> list[str]:
    return [f"{i:04x}" for i in range(count)]


def levels(count: int, seed: int) -> Levels:
    return unit([torch.randn(count, 4, 4, 8, generator=torch.Generator().manual_seed(seed))])


@pytest.mark.parametrize(
    ("count", "views", "defects"), [(1, 6, 5), (8, 48, 40), (16, 96, 80), (40, 100, 100), (320, 100, 100)]
)
def test_work_grows_with_few_references_and_is_bounded_with_many(count: int, views: int, defects: int) -> None:
    chosen = left_out(digests(count), 1, seed=0)
    assert sum(item.views for item in chosen) == views
    assert sum(len(item.kinds) for item in chosen) == defects
    assert len(chosen) == min(count, 100)
    turns = [kind for item in chosen for kind in item.kinds]
    assert max(turns.count(kind) for kind in KINDS) - min(turns.count(kind) for kind in KINDS) <= 1


def test_tiles_take_the_place_of_views() -> None:
    assert sum(item.views for item in left_out(digests(4), 20, seed=0)) == 7
    assert sum(item.views for item in left_out(digests(4), 100, seed=0)) == 1
    assert [item.views for item in left_out(digests(40), 1000, seed=0)] == [1]


def test_content_and_seed_choose_the_sample_not_the_order() -> None:
    names = digests(50)
    chosen = {names[i] for i in sample(names, 10, 0)}
    assert chosen == {names[::-1][i] for i in sample(names[::-1], 10, 0)}
    assert chosen != {names[i] for i in sample(names, 10, 1)}


def test_each_view_is_judged_in_all_its_tiles() -> None:
    tiles = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    photos = [turnable(tile) for tile in tiles]
    made = list(trials(lambda index: photos, left_out(digests(2), 3, seed=0), 0))
    assert [trial.view for trial in made if trial.view is not None] == [i for i in range(12) for _ in range(3)]
    assert len({trial.key for trial in made}) == len(made) == 36 + 10
    assert torch.equal(made[1].image, tiles[1] / 255)


def test_a_query_is_never_compared_with_its_own_reference() -> None:
    known = levels(4, 0)
    bank, queries = PatchBank(known), [level[[0, 0, 2]] for level in known]
    maps = BankWithout(bank, [0, 1, 2, 0], [0, 0, 2]).maps(queries)
    expected = [
        bank.without([0, 3]).maps([level[:2] for level in queries]),
        bank.without([2]).maps([level[2:] for level in queries]),
    ]
    assert torch.equal(maps[0], torch.cat([part[0] for part in expected]))
    assert maps[0].min() > 1e-3


def test_the_score_of_a_photo_is_that_of_its_worst_tile() -> None:
    assert highest(torch.tensor([1.0, 5.0, 2.0, 0.0]), [0, 0, 1, 1]).tolist() == [5.0, 2.0]


def test_a_map_put_together_equals_the_map_that_was_cut() -> None:
    whole = torch.rand(60, 100, generator=torch.Generator().manual_seed(0))
    boxes = windows(800, 480, 256)
    canvas = Canvas.of_cells((800, 480), boxes[0], (32, 32))
    for x, y, _, _ in boxes:
        top, left = int(y / 8 + 0.5), int(x / 8 + 0.5)
        canvas.add(whole[None, None, top : top + 32, left : left + 32], [(x, y, 256, 256)])
    assert torch.allclose(canvas.result()[0], whole, atol=1e-6)
