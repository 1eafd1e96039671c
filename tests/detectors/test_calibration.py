"""What branches are worth."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from normalgen.detectors.one_to_normal.calibration import Usual, is_aligned
from normalgen.detectors.one_to_normal.triplet import Levels, Moments
from normalgen.diffusion.stable_diffusion import StableParts
from normalgen.diffusion.tiny.tiny_parts import TinyParts


def usual(*names: str, shift: float = 5.0) -> Usual:
    """Branches that all tell drawn defects from normal images alike, and perfectly unless `shift` is 0."""

    def maps(shift: float) -> dict[str, Levels]:
        return {name: [torch.rand(6, 4, 4, generator=torch.Generator().manual_seed(1)) + shift] for name in names}

    moments = {name: Moments([torch.tensor(0.5)], [torch.tensor(0.3)]) for name in names}
    return Usual(moments, maps(0.0), maps(shift))


def test_the_twins_worth_on_drawn_defects_counts_less_than_the_banks() -> None:
    weights = usual("p", "n").weights({"p": 0.1}, "top")
    assert weights["p"] / weights["n"] == 0.1
    assert sum(weights.values()) == 2


def test_a_branch_alone_has_weight_1() -> None:
    assert usual("p").weights({"p": 0.1}, "top") == {"p": 1.0}


def test_branches_that_miss_every_drawn_defect_are_weighed_by_trust_alone() -> None:
    weights = usual("p", "n", shift=0.0).weights({"p": 0.1}, "top")
    assert weights == pytest.approx({"p": 2 / 11, "n": 20 / 11})
    assert usual("p", "n", shift=0.0).weights({}, "top") == {"p": 1.0, "n": 1.0}


def test_less_trust_is_for_twins_of_the_tiny_model_alone() -> None:
    assert (TinyParts.twin_trust, StableParts.twin_trust) == (0.1, 1.0)


def test_branches_are_weighed_by_the_scores_that_the_detector_gives() -> None:
    """A broad stain raises the mean of the highest patches; one hot patch of normal images hides it from max."""
    quiet = torch.rand(6, 20, 20, generator=torch.Generator().manual_seed(1))
    hot, stained = quiet.clone(), quiet.clone()
    hot[:, 3, 3], stained[:, 5:7, 5:7] = 9.0, 5.0
    moments = {name: Moments([torch.tensor(0.5)], [torch.tensor(0.3)]) for name in ("p", "n")}
    normal, spoilt = {"p": [hot], "n": [quiet]}, {"p": [stained], "n": [stained]}
    found = Usual(moments, normal, spoilt)
    assert found.weights({}, "top") == {"p": 1.0, "n": 1.0}
    assert found.weights({}, "max") == {"p": 0.0, "n": 2.0}


def rows(images: Tensor) -> Levels:
    """The channels of 8 x 8 blocks as patch vectors, with a 1 so that none is 0."""
    found = torch.cat([avg_pool2d(images, 8), torch.ones(len(images), 1, 8, 8)], 1)
    return [normalize(found.permute(0, 2, 3, 1), dim=-1)]


def test_more_photos_make_them_neither_more_nor_less_aligned() -> None:
    draw = torch.Generator().manual_seed(0)
    same, own = torch.rand(1, 3, 8, 8, generator=draw), torch.rand(8, 3, 8, 8, generator=draw)
    for share, expected in ((0.15, True), (1.0, False)):
        photos = (share * own + (1 - share) * same).repeat_interleave(8, 2).repeat_interleave(8, 3)
        assert [is_aligned(rows(photos[:k])) for k in (2, 4, 8)] == [expected] * 3
