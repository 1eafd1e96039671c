"""Turns predictions into metrics."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.data.category import TestImage
from normalgen.detectors import metrics
from normalgen.detectors.base import Prediction

__all__ = ["PIXELS", "by_branch", "measure"]

PIXELS = 256
"""Width and height at which maps and masks are compared."""
_PIXEL = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro")


def measure(prediction: Prediction, tests: list[TestImage]) -> dict[str, float | None]:
    """Image metrics and, if every anomalous image has a mask, pixel metrics; all in [0, 1].

    Args:
        prediction: for `tests`, in their order.
        tests: normal and anomalous images.
    """
    labels = torch.tensor([test.label for test in tests])
    image: dict[str, float | None] = {**metrics.image_metrics(labels, prediction.image_scores)}
    return image | _pixel_metrics(prediction.anomaly_maps, tests)


def _pixel_metrics(maps: Tensor, tests: list[TestImage]) -> dict[str, float | None]:
    if any(test.label and test.mask is None for test in tests) or not len(maps):
        return dict.fromkeys(_PIXEL)
    masks = [test.mask_at(PIXELS) > 0.5 for test in tests]
    grown = list(interpolate(maps[:, None].float(), (PIXELS, PIXELS), mode="bilinear", align_corners=False)[:, 0])
    return {**metrics.pixel_metrics(grown, masks)}


def by_branch(batches: list[dict[str, Tensor]], labels: Tensor) -> dict[str, float]:
    """Image AUROC of each branch, from batches of scores by branch."""
    return {name: metrics.image_auroc(labels, torch.cat([scores[name] for scores in batches])) for name in batches[0]}
