"""Turns predictions into metrics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.data.category import TestImage
from normalgen.data.marks import Marks
from normalgen.data.mask_check import PIXELS
from normalgen.detectors import metrics
from normalgen.detectors.base import Prediction
from normalgen.errors import DataError

__all__ = ["Measured", "by_branch", "measure", "measure_pixels"]

_PIXEL = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro")


@dataclass(frozen=True)
class Measured:
    """The metrics of a prediction.

    Attributes:
        metrics: in [0, 1], by name; None if not measured.
        unmeasured: why there are no pixel metrics; empty if there are.
        regions: how many marked regions the masks have.
        thin: how many of them are thinner than half a pixel at the size at which maps are compared.
    """

    metrics: dict[str, float | None]
    unmeasured: str = ""
    regions: int = 0
    thin: int = 0


def measure(prediction: Prediction, tests: list[TestImage]) -> Measured:
    """Return image metrics and, if every anomalous image has a mask, pixel metrics.

    Args:
        prediction: for `tests`, in their order.
        tests: normal and anomalous images.
    """
    labels = torch.tensor([test.label for test in tests])
    image: dict[str, float | None] = {**metrics.image_metrics(labels, prediction.image_scores)}
    try:
        return _with_pixels(image, prediction.anomaly_maps, tests)
    except (DataError, ValueError) as error:
        return Measured(image | dict.fromkeys(_PIXEL), str(error))


def _with_pixels(image: dict[str, float | None], maps: Tensor, tests: list[TestImage]) -> Measured:
    if not len(maps):
        raise DataError("the detector gives no maps")
    marks = [test.marks(PIXELS) for test in tests]
    pixel: dict[str, float | None] = {**measure_pixels(maps, marks)}
    return Measured(image | pixel, "", sum(mark.regions for mark in marks), sum(mark.thin for mark in marks))


def measure_pixels(maps: Iterable[Tensor], marks: Sequence[Marks]) -> dict[str, float]:
    """Return the pixel metrics of maps (h, w) of any size with their marks, at 256 pixels; errors as its metrics."""
    size = (PIXELS, PIXELS)
    grown = [interpolate(one[None, None].float(), size, mode="bilinear", align_corners=False)[0, 0] for one in maps]
    masks, overlaps = ([torch.from_numpy(getattr(mark, part)) for mark in marks] for part in ("mask", "overlap"))
    return metrics.pixel_metrics(grown, masks, overlaps)


def by_branch(batches: list[dict[str, Tensor]], labels: Tensor) -> dict[str, float]:
    """Image AUROC of each branch, from batches of scores by branch."""
    return {name: metrics.image_auroc(labels, torch.cat([scores[name] for scores in batches])) for name in batches[0]}
