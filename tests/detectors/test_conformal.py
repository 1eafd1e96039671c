import math

import pytest
import torch

from normalgen.detectors.conformal import Threshold


def calibrated(count: int, rate: float) -> Threshold:
    return Threshold(torch.arange(count).float(), rate, "calibrated")


def test_p_values_count_normal_images_that_score_as_high() -> None:
    found = calibrated(4, 0.5).p_values(torch.tensor([-1.0, 1.5, 3.0, 9.0]))
    assert torch.allclose(found, torch.tensor([5, 3, 2, 1]).double() / 5)


def test_verdicts_and_the_threshold_agree() -> None:
    for count, rate in ((19, 0.05), (20, 0.05), (99, 0.03), (7, 0.5)):
        threshold = calibrated(count, rate)
        scores = torch.linspace(-1, count + 1, 400)
        above = ["anomalous" if score > threshold.value() else "normal" for score in scores.tolist()]
        assert threshold.verdicts(scores) == above


@pytest.mark.parametrize(("count", "rate", "supported"), [(19, 0.05, True), (18, 0.05, False), (2, 0.34, True)])
def test_n_photos_support_rates_down_to_one_in_n_plus_one(count: int, rate: float, supported: bool) -> None:
    threshold = calibrated(count, rate)
    assert threshold.supported == supported
    if not supported:
        assert threshold.verdicts(torch.ones(2)) == ["", ""]
        assert threshold.value() == math.inf
        assert threshold.sentence().startswith(
            "ranking only: 18 photos cannot support 0.05 (the lowest rate is 1 / 19)"
        )


def test_no_more_than_the_named_share_of_new_normals_is_called_anomalous() -> None:
    draw = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(300):
        scores = torch.randn(79, generator=draw)
        rates.append(Threshold(scores[:39], 0.1, "calibrated").verdicts(scores[39:]).count("anomalous") / 40)
    assert 0.08 < sum(rates) / len(rates) <= 0.103


def test_an_approximate_threshold_says_so() -> None:
    assert Threshold(torch.arange(24.0), 0.05, "approximate").sentence().startswith("approximate:")
