"""What branches are worth."""

import torch

from normalgen.triplet import Levels, Moments
from normalgen.usual import TRUST, Usual


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
