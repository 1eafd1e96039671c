"""Tells whether a pool is worth using: whether it helps a patch memory to tell drawn defects from good photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normalgen.detectors.metrics import image_auroc
from normalgen.features.contract import Features
from normalgen.features.memory_bank import MemoryBank
from normalgen.features.patches import joined_patches
from normalgen.images.defects import KINDS, paste
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator

__all__ = ["Worth", "worth"]

DEFECTS, TOP, BATCH, RESAMPLES = 2, 0.01, 8, 1000
"""Defects drawn per photo, share of a map in an image score, images at a time, and resamples of an interval."""


@dataclass(frozen=True)
class Worth:
    """How well a nearest-patch memory tells good photos from the same photos with drawn defects.

    Attributes:
        aurocs: image AUROC with references alone ("references"), and with "augmented" and "pool" images joined to them.
        gain: that of "pool" minus that of "augmented".
        interval: 95 % interval of the gain, over photos.
        photos: how many photos were judged.
    """

    aurocs: dict[str, float]
    gain: float
    interval: tuple[float, float]
    photos: int

    def sentence(self) -> str:
        """Return a recommendation in one line."""
        low, high = self.interval
        advice = (
            "use this pool: it helps more than plain augmentation"
            if low > 0
            else "rather use plain augmentation (--plain 1): this pool helps less"
            if high < 0
            else "this pool helps about as much as plain augmentation"
        )
        shares = ", ".join(f"{100 * value:.1f} with {name}" for name, value in self.aurocs.items())
        return (
            f"{advice}. AUROC of a patch memory on {self.photos} unseen good photos and drawn defects: {shares}; "
            f"gain {100 * self.gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        )


def worth(
    references: Tensor,
    images: Mapping[str, Tensor],
    held_out: Tensor,
    network: Features,
    *,
    seed: int,
    watch: Watch = silent,
) -> Worth:
    """Judge photos that no memory holds, each as it is and with two drawn defects.

    Args:
        references: (k, 3, S, S) in [0, 1].
        images: as many "augmented" and "pool" images (n, 3, S, S) in [0, 1], which join the references.
        held_out: (N, 3, S, S) in [0, 1], good photos.
        network: compares patches.
        seed: draws the defects, and resamples the photos.
        watch: receives the progress of "compare".
    """
    kinds = [*KINDS]
    drawn = [
        paste(photo, kinds[(index * DEFECTS + i) % len(kinds)], generator("worth", seed, index, i))[0]
        for index, photo in enumerate(held_out)
        for i in range(DEFECTS)
    ]
    banks = {"references": references, **images}
    total, done = len(held_out) * (1 + DEFECTS) + sum(map(len, banks.values())), 0

    def patches(photos: Tensor) -> Tensor:
        nonlocal done
        parts = []
        for part in torch.split(photos, BATCH):
            parts.append(joined_patches(network, part).flatten(1, 2))
            done += len(part)
            watch("compare", done, total)
        return torch.cat(parts)

    queries = patches(torch.cat([held_out, torch.stack(drawn)]))
    near = {name: MemoryBank(patches(photos)).distances(queries).square() / 2 for name, photos in banks.items()}
    scores = {
        name: _scores(near["references"] if name == "references" else torch.minimum(near["references"], maps))
        for name, maps in near.items()
    }
    numbers = {name: _auroc(rows, range(len(held_out))) for name, rows in scores.items()}
    low, high = _interval(scores, len(held_out), seed)
    return Worth(numbers, numbers["pool"] - numbers["augmented"], (low, high), len(held_out))


def _scores(maps: Tensor) -> Tensor:
    """Return image scores (N, 1 + DEFECTS) of maps, those of photos first: photo by photo, the good one first."""
    top = maps.topk(max(1, round(TOP * maps.shape[1])), 1).values.mean(1).double()
    photos = len(top) // (1 + DEFECTS)
    return torch.cat([top[:photos, None], top[photos:].view(photos, DEFECTS)], 1)


def _auroc(scores: Tensor, photos: Sequence[int]) -> float:
    chosen = scores[list(photos)]
    labels = (torch.arange(1 + DEFECTS) > 0).long().expand(len(chosen), -1)
    return image_auroc(labels.flatten(), chosen.flatten())


def _interval(scores: Mapping[str, Tensor], photos: int, seed: int) -> tuple[float, float]:
    rows = torch.randint(photos, (RESAMPLES, photos), generator=generator("worth interval", seed)).tolist()
    gains = [_auroc(scores["pool"], drawn) - _auroc(scores["augmented"], drawn) for drawn in rows]
    low, high = torch.tensor(gains).quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high
