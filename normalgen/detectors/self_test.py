"""Tests a detector without any defective part: left-out references against the same images with drawn defects.

Its AUROC is a proxy: drawn scratches, cracks, spots, stains and chips are not the defects of a factory.
"""

from dataclasses import dataclass

import torch

from normalgen.detectors.base import JudgingDetector
from normalgen.detectors.metrics import image_auroc
from normalgen.detectors.one_to_normal.left_out import sample, view
from normalgen.images.defects import KINDS, paste
from normalgen.images.turning import turnables
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator
from normalgen.references import References

__all__ = ["Proxy", "self_test"]

GOOD, MOST = 6, 16
"""Most views per reference, and most references judged."""


@dataclass(frozen=True)
class Proxy:
    """Proxy image AUROC: over all kinds of defects for each branch and the fused score, and fused for each kind."""

    overall: dict[str, float]
    by_kind: dict[str, float]
    images: int


def self_test(detector: JudgingDetector, references: References, *, seed: int = 0, watch: Watch = silent) -> Proxy:
    """Return the AUROC of views of at most 16 references with and without a drawn defect, each left out of the bank.

    Args:
        detector: fitted on `references`.
        references: better two or more: with one, its augmentations stand in for other good parts. Photos judged in
            tiles are represented by their middle tile.
        seed: draws augmentations and defects, and chooses the references.
        watch: receives the progress of "self-test", per batch of views.

    Raises:
        NotFittedError: the detector is not fitted.
    """
    size = detector.image_size
    chosen = sorted(sample(references.images.hashes(), MOST, seed))
    good: list[dict[str, torch.Tensor]] = []
    defective: dict[str, list[dict[str, torch.Tensor]]] = {kind: [] for kind in KINDS}
    total = len(chosen) * (1 + len(KINDS))
    for done, index in enumerate(chosen):
        watch("self-test", done * (1 + len(KINDS)), total)
        tiles = references.tiles(index)
        (photo,) = turnables(tiles.take([len(tiles) // 2]), size)
        images = torch.stack([view(photo, i, "self-test", seed, index) for i in range(GOOD)])
        good.append(_scores(detector, images, f"good-{seed}-{index}", index))
        for number, (kind, scores) in enumerate(defective.items(), 1):
            draws = [generator("self-test", seed, index, kind, i) for i in range(len(images))]
            spoilt = torch.stack([paste(image, kind, draw)[0] for image, draw in zip(images, draws, strict=True)])
            scores.append(_scores(detector, spoilt, f"{kind}-{seed}-{index}", index))
            watch("self-test", done * (1 + len(KINDS)) + number, total)
    watch("self-test", total, total)
    every = [scores for parts in defective.values() for scores in parts]
    overall = {name: _auroc(good, every, name) for name in good[0]}
    by_kind = {kind: _auroc(good, scores, "fused") for kind, scores in defective.items()}
    return Proxy(overall, by_kind, GOOD * len(chosen))


def _scores(detector: JudgingDetector, images: torch.Tensor, name: str, reference: int) -> dict[str, torch.Tensor]:
    keys = [f"{name}-{i}" for i in range(len(images))]
    return detector.explain_pixels(images, keys, without=reference).scores


def _auroc(good: list[dict[str, torch.Tensor]], defective: list[dict[str, torch.Tensor]], name: str) -> float:
    scores = [torch.cat([part[name] for part in parts]) for parts in (good, defective)]
    labels = torch.cat([torch.full((len(part),), i) for i, part in enumerate(scores)])
    return image_auroc(labels, torch.cat(scores))
