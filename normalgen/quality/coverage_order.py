"""Orders photos by what they add to the references."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

__all__ = ["MOST", "by_coverage"]

MOST = 256
"""Photos that are ordered; the others follow as they are."""


def by_coverage(references: Tensor, photos: Tensor) -> list[int]:
    """Return the indices of the photos, farthest first: each next one is farthest from all before it (k-center).

    The distance of a photo is the mean over its patches to the nearest patch. Patches are averaged 2 x 2, which makes
    this 16 times as fast.

    Args:
        references: unit vectors (k, P, C).
        photos: unit vectors (N, P, C).
    """
    known, small = _coarse(references), _coarse(photos)
    nearest = torch.full(small.shape[:2], torch.inf)
    for reference in known:
        nearest = torch.minimum(nearest, _distances(small, reference))
    order: list[int] = []
    left = set(range(len(photos)))
    while left and len(order) < MOST:
        scores = nearest.mean(1)
        scores[order] = -1.0
        chosen = int(scores.argmax())
        order.append(chosen)
        left.remove(chosen)
        nearest = torch.minimum(nearest, _distances(small, small[chosen]))
    return [*order, *sorted(left)]


def _coarse(patches: Tensor) -> Tensor:
    side = round(patches.shape[1] ** 0.5)
    grid = patches.float().view(len(patches), side, side, -1).permute(0, 3, 1, 2)
    return normalize(avg_pool2d(grid, 2).flatten(2).transpose(1, 2), dim=-1)


def _distances(photos: Tensor, other: Tensor) -> Tensor:
    """Return the distance of each patch of photos (N, P, C) to the nearest of another photo (P, C)."""
    return (1 - torch.cat([(part @ other.T).amax(2) for part in torch.split(photos, 16)])).clamp(min=0)
