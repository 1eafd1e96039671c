"""Does it help my part, without a single defective one? Left-out references against the same with drawn defects.

The AUROC found so is a proxy: drawn scratches, cracks, spots, stains and chips are not the defects of a factory.
"""

from dataclasses import dataclass

import torch

from normalgen.detectors.metrics import image_auroc
from normalgen.detectors.one_to_normal.calibration import views
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.images.defects import KINDS, paste
from normalgen.images.turning import turnables
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator
from normalgen.references import References

__all__ = ["Proxy", "self_test"]

GOOD = 6


@dataclass(frozen=True)
class Proxy:
    """Proxy image AUROC of each branch and of the fused score: over all kinds of defects, and for each."""

    overall: dict[str, float]
    by_kind: dict[str, float]
    images: int


def self_test(detector: OneToNormal, references: References, *, seed: int = 0, watch: Watch = silent) -> Proxy:
    """Score augmented references, each without itself in the bank, with and without a drawn defect.

    Args:
        detector: fitted on `references`.
        references: at least two tell more: with one, its augmentations stand in for other good parts.
        seed: draws augmentations and defects.
        watch: receives the progress of "self-test".

    Raises:
        NotFittedError: the detector is not fitted.
    """
    size = int(detector.settings()["size"])
    photos = turnables(references.images, size)
    good: list[dict[str, torch.Tensor]] = []
    bad: dict[str, list[dict[str, torch.Tensor]]] = {kind: [] for kind in KINDS}
    for place, photo in enumerate(photos):
        watch("self-test", place, len(photos))
        images = views(photo, GOOD, "self-test", seed, place)
        good.append(_scores(detector, images, f"good-{seed}-{place}", place))
        for kind, found in bad.items():
            draws = [generator("self-test", seed, place, kind, i) for i in range(len(images))]
            spoilt = torch.stack([paste(image, kind, draw)[0] for image, draw in zip(images, draws, strict=True)])
            found.append(_scores(detector, spoilt, f"{kind}-{seed}-{place}", place))
    watch("self-test", len(photos), len(photos))
    every = [scores for found in bad.values() for scores in found]
    overall = {name: _auroc(good, every, name) for name in good[0]}
    return Proxy(overall, {kind: _auroc(good, found, "fused") for kind, found in bad.items()}, GOOD * len(photos))


def _scores(detector: OneToNormal, images: torch.Tensor, name: str, place: int) -> dict[str, torch.Tensor]:
    keys = [f"{name}-{i}" for i in range(len(images))]
    return detector.explain_pixels(images, keys, without=place).scores


def _auroc(good: list[dict[str, torch.Tensor]], bad: list[dict[str, torch.Tensor]], name: str) -> float:
    scores = [torch.cat([each[name] for each in found]) for found in (good, bad)]
    labels = torch.cat([torch.full((len(found),), i) for i, found in enumerate(scores)])
    return image_auroc(labels, torch.cat(scores))
