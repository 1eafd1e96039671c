"""Metrics of scores of images and pixels; label 1 is anomalous, and higher scores are more anomalous.

`image_...` take one score per image. `pixel_...` and `aupro` take maps and masks, all pixels of all images together.
AUPRO: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021, section 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score
from torch import Tensor

__all__ = [
    "aupro",
    "image_ap",
    "image_ap_trapezoid",
    "image_auroc",
    "image_f1_max",
    "image_metrics",
    "pixel_ap",
    "pixel_auroc",
    "pixel_f1_max",
    "pixel_metrics",
]

FPR_LIMIT = 0.3

Values = NDArray[np.float32]
Numbers = NDArray[np.float64]


def image_auroc(labels: Tensor, scores: Tensor) -> float:
    """Return the area under the ROC curve, in [0, 1], of image scores (N,) with labels (N,); ties count half.

    Raises:
        ValueError: here and below, if labels other than both 0 and 1 occur, or a score is not finite.
    """
    labels, scores = _checked(labels, scores)
    return _rate(roc_auc_score(labels.numpy(), scores.numpy()))


def image_ap(labels: Tensor, scores: Tensor) -> float:
    """Return the average precision (step sum), in [0, 1], of image scores (N,) with labels (N,): the papers' AUPRC."""
    labels, scores = _checked(labels, scores)
    return _rate(average_precision_score(labels.numpy(), scores.numpy()))


def image_ap_trapezoid(labels: Tensor, scores: Tensor) -> float:
    """Return the trapezoidal area under the precision-recall points, in [0, 1], which some papers call AUPRC.

    If all scores are equal it is (1 + prevalence) / 2: read `image_ap` first.
    """
    precision, recall = _precision_recall(labels, scores)
    return _rate(auc(recall, precision))


def image_f1_max(labels: Tensor, scores: Tensor) -> float:
    """Return the highest F1, in [0, 1], over all thresholds: chosen with the labels, so an upper bound."""
    precision, recall = _precision_recall(labels, scores)
    return _f1_max(precision, recall)


def image_metrics(labels: Tensor, scores: Tensor) -> dict[str, float]:
    """Return all image metrics by name, for image scores (N,) with labels (N,)."""
    measures = (image_auroc, image_ap, image_ap_trapezoid, image_f1_max)
    return {measure.__name__: measure(labels, scores) for measure in measures}


def pixel_auroc(maps: Sequence[Tensor], masks: Sequence[Tensor]) -> float:
    """Return the area under the ROC curve, in [0, 1], of all pixels together.

    Args:
        maps: one per image, (h, w), finite; held as float32, 4 bytes per pixel.
        masks: one per map, of the same size, anomalous where not 0; all 0 for a normal image.

    Raises:
        ValueError: here and below, if maps and masks do not match, a map is not finite, or there is no anomalous or no
            normal pixel.
    """
    return _pixels(maps, masks).auroc()


def pixel_ap(maps: Sequence[Tensor], masks: Sequence[Tensor]) -> float:
    """Return the average precision (step sum), in [0, 1], of all pixels of maps (h, w) with masks (h, w) together."""
    return _pixels(maps, masks).ap()


def pixel_f1_max(maps: Sequence[Tensor], masks: Sequence[Tensor]) -> float:
    """Return the highest F1, in [0, 1], of one threshold for all pixels of maps (h, w) with masks (h, w)."""
    return _pixels(maps, masks).f1_max()


def aupro(maps: Sequence[Tensor], masks: Sequence[Tensor], limit: float = FPR_LIMIT) -> float:
    """Return the area under the per-region-overlap curve up to a false-positive rate of `limit`, over `limit`.

    It is in [0, 1]. A region is a set of anomalous pixels that touch, also at corners; all count the same, whatever
    their size.

    Args:
        maps: one per image, (h, w), finite.
        masks: one per map, of the same size, anomalous where not 0.
        limit: in (0, 1]; a share of all normal pixels, including those in images with defects.
    """
    if not 0 < limit <= 1:
        raise ValueError(f"the limit of the false-positive rate must be in (0, 1], got {limit}")
    return _pixels(maps, masks).aupro(limit)


def pixel_metrics(
    maps: Sequence[Tensor], masks: Sequence[Tensor], overlaps: Sequence[Tensor] | None = None
) -> dict[str, float]:
    """Return pixel AUROC, AP, F1-max and AUPRO by name, for maps (h, w) with masks (h, w).

    Args:
        maps: one per image, (h, w), finite.
        masks: one per map, of the same size, anomalous where not 0.
        overlaps: one per map, of the same size: what each pixel adds to the overlap of regions, for AUPRO with the
            regions of larger masks (`normalgen.data.marks`); None uses the regions of `masks`.
    """
    pixels = _pixels(maps, masks, overlaps)
    return {
        "pixel_auroc": pixels.auroc(),
        "pixel_ap": pixels.ap(),
        "pixel_f1_max": pixels.f1_max(),
        "aupro": pixels.aupro(FPR_LIMIT),
    }


def _rate(value: float) -> float:
    """Return `value` in [0, 1]: sums of shares may round to a little more than 1."""
    return float(np.clip(value, 0.0, 1.0))


def _checked(labels: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return both on the CPU, without gradient."""
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels and scores must be (N,) each, got {tuple(labels.shape)} and {tuple(scores.shape)}")
    if not scores.isfinite().all():
        raise ValueError("a score is not finite")
    if set(labels.tolist()) != {0, 1}:
        values = sorted({int(value) for value in labels.tolist()})
        raise ValueError(f"labels must hold both 0 (normal) and 1 (anomalous), got {values} in {len(labels)} images")
    return labels.detach().cpu(), scores.detach().cpu()


def _precision_recall(labels: Tensor, scores: Tensor) -> tuple[Numbers, Numbers]:
    labels, scores = _checked(labels, scores)
    precision, recall, _ = precision_recall_curve(labels.numpy(), scores.numpy())
    return precision, recall


def _f1_max(precision: Numbers, recall: Numbers) -> float:
    return _rate(np.max(2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)))


@dataclass(frozen=True)
class _Pixels:
    """Scores of all pixels, split into normal and anomalous.

    Attributes:
        normal: (N,), ascending.
        anomalous: (A,), in mask order.
        overlap: (A,), what each anomalous pixel adds to the overlap of its region: 1 / pixels of the region.
    """

    normal: Values
    anomalous: Values
    overlap: Numbers

    def auroc(self) -> float:
        """Return the area with equal weight for each anomalous pixel."""
        return self.area(np.ones(len(self.anomalous)))

    def aupro(self, limit: float) -> float:
        """Return the area with equal weight for each region."""
        return self.area(self.overlap, limit)

    def ap(self) -> float:
        """Return the average precision."""
        precision, recall = self.precision_recall()
        return _rate(np.sum(np.diff(recall, prepend=0.0) * precision))

    def f1_max(self) -> float:
        """Return F1 at the best threshold."""
        return _f1_max(*self.precision_recall())

    def area(self, weights: Numbers, limit: float = 1.0) -> float:
        """Return the area under hits over false alarms up to `limit`, over `limit`; straight lines between thresholds.

        An anomalous pixel adds its weight (A,) at false-alarm rates above that of the higher-scoring normal pixels; it
        does so gradually across normal pixels with the same score.
        """
        total = len(self.normal)
        higher = 1 - np.searchsorted(self.normal, self.anomalous, "right") / total
        as_high = 1 - np.searchsorted(self.normal, self.anomalous, "left") / total
        cut = (limit - higher).clip(0) ** 2 / (2 * np.maximum(as_high - higher, 1 / total))
        areas = np.where(as_high <= limit, limit - (higher + as_high) / 2, cut)
        return _rate((areas * weights).sum() / weights.sum() / limit)

    def precision_recall(self) -> tuple[Numbers, Numbers]:
        """Return both with each anomalous score as the threshold, highest first: recall changes only there."""
        thresholds, counts = np.unique(self.anomalous, return_counts=True)
        hits = np.cumsum(counts[::-1])
        false = len(self.normal) - np.searchsorted(self.normal, thresholds[::-1])
        return hits / (hits + false), hits / len(self.anomalous)


def _pixels(maps: Sequence[Tensor], masks: Sequence[Tensor], overlaps: Sequence[Tensor] | None = None) -> _Pixels:
    if len(maps) != len(masks):
        raise ValueError(f"expected one mask per map, got {len(maps)} maps and {len(masks)} masks")
    normal, anomalous, overlap = [], [], []
    for index, (anomaly_map, mask) in enumerate(zip(maps, masks, strict=True)):
        scores, marked = _pair(index, anomaly_map, mask)
        normal.append(scores[~marked])
        anomalous.append(scores[marked])
        given = None if overlaps is None else overlaps[index].cpu().double().numpy()[marked]
        overlap.append(np.zeros(0) if not marked.any() else _overlap(marked) if given is None else given)
    if not any(map(len, anomalous)) or not any(map(len, normal)):
        missing = "normal" if any(map(len, anomalous)) else "anomalous"
        raise ValueError(f"no {missing} pixel in {len(masks)} masks; pixel metrics need both kinds")
    background = np.concatenate(normal)
    background.sort()
    return _Pixels(background, np.concatenate(anomalous), np.concatenate(overlap))


def _pair(index: int, anomaly_map: Tensor, mask: Tensor) -> tuple[Values, NDArray[np.bool_]]:
    if anomaly_map.ndim != 2 or anomaly_map.shape != mask.shape:
        shapes = f"{tuple(anomaly_map.shape)} and {tuple(mask.shape)}"
        raise ValueError(f"map {index} and its mask must both be (h, w), of the same size, got {shapes}")
    scores = anomaly_map.detach().cpu().float().numpy()
    if not np.isfinite(scores).all():
        raise ValueError(f"map {index} is not finite")
    return scores, mask.detach().cpu().numpy() != 0


def _overlap(marked: NDArray[np.bool_]) -> Numbers:
    """Return 1 / pixels of the region, for each anomalous pixel (A,)."""
    regions = label(marked, connectivity=2)[marked]
    shares: Numbers = 1.0 / np.bincount(regions)[regions]
    return shares
