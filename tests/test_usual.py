"""What branches are worth."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from normalgen.triplet import Levels, Moments
from normalgen.usual import TRUST, Usual, is_aligned


def usual(*names: str) -> Usual:
    """Branches that all tell drawn defects from normal images alike, and perfectly."""

    def maps(shift: float) -> dict[str, Levels]:
        return {name: [torch.rand(6, 4, 4, generator=torch.Generator().manual_seed(1)) + shift] for name in names}

    moments = {name: Moments([torch.tensor(0.5)], [torch.tensor(0.3)]) for name in names}
    return Usual(moments, maps(0.0), maps(5.0))


def test_the_twins_worth_on_drawn_defects_counts_less_than_the_banks() -> None:
    weights = usual("p", "n").weights()
    assert weights["p"] / weights["n"] == TRUST["p"]
    assert sum(weights.values()) == 2


def test_a_branch_alone_has_weight_1() -> None:
    assert usual("p").weights() == {"p": 1.0}


class Rows:
    """The channels of 8 x 8 blocks as patch vectors, with a 1 so that none is 0."""

    def tokens(self, images: Tensor) -> Levels:
        found = torch.cat([avg_pool2d(images, 8), torch.ones(len(images), 1, 8, 8)], 1)
        return [normalize(found.permute(0, 2, 3, 1), dim=-1)]


def test_more_photos_make_them_neither_more_nor_less_aligned() -> None:
    draw = torch.Generator().manual_seed(0)
    same, own = torch.rand(1, 3, 8, 8, generator=draw), torch.rand(8, 3, 8, 8, generator=draw)
    for share, expected in ((0.15, True), (1.0, False)):
        photos = (share * own + (1 - share) * same).repeat_interleave(8, 2).repeat_interleave(8, 3)
        assert [is_aligned(Rows(), photos[:k]) for k in (2, 4, 8)] == [expected] * 3  # type: ignore[arg-type]
