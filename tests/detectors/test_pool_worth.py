"""The advice on a pool: closed cases, and what it says."""

import pytest
import torch
from conftest import drawn
from torch import Tensor

from normalgen.detectors.pool_worth import Worth, worth
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.images.images import to_tensor

SIZE = 64


def shown(*seeds: int) -> Tensor:
    """Grainy photos, so that a memory of two errs."""
    grain = (torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) for seed in seeds)
    plain = (to_tensor(drawn(seed, SIZE), SIZE) for seed in seeds)
    return torch.stack([0.6 * photo + 0.4 * noise for photo, noise in zip(plain, grain, strict=True)])


def judged(pool: Tensor, augmented: Tensor, seed: int = 0) -> Worth:
    images = {"augmented": augmented, "pool": pool}
    return worth(shown(0, 1), images, shown(*range(50, 58)), CnnFeatures(size=SIZE), seed=seed)


def test_the_same_images_are_worth_the_same() -> None:
    same = shown(2, 3, 4)
    found = judged(same, same)
    assert (found.gain, found.interval, found.photos) == (0.0, (0.0, 0.0), 8)
    assert 0.5 < found.aurocs["references"] < 1
    assert found.sentence().startswith("this pool helps about as much as plain augmentation. AUROC")


def test_a_pool_that_knows_the_good_photos_is_worth_more() -> None:
    found = judged(shown(*range(50, 58)), shown(*[0] * 8))
    assert found.aurocs["pool"] == 1.0
    assert found.gain > 0
    assert found.interval[0] <= found.gain <= found.interval[1]
    assert judged(shown(*range(50, 58)), shown(*[0] * 8)) == found


@pytest.mark.parametrize(
    ("interval", "advice"),
    [
        ((0.01, 0.04), "use this pool: it helps more"),
        ((-0.04, -0.01), "rather use plain augmentation (--plain 1): this pool helps less"),
        ((-0.01, 0.01), "this pool helps about as much"),
    ],
)
def test_the_advice_follows_the_interval(interval: tuple[float, float], advice: str) -> None:
    sentence = Worth({"references": 0.8, "augmented": 0.81, "pool": 0.82}, 0.01, interval, 9).sentence()
    assert sentence.startswith(advice)
    assert "80.0 with references, 81.0 with augmented, 82.0 with pool; gain +1.0" in sentence
