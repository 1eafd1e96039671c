"""One vector per patch from all levels of a network."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from normalgen.features.contract import Features

__all__ = ["GRID", "joined", "joined_patches"]

GRID = 16


def joined_patches(network: Features, images: Tensor, grid: int = GRID) -> Tensor:
    """Return one vector of unit length per patch (N, grid, grid, C): all levels, averaged to one grid and joined.

    The squared length of a level's part is its share (`Features.shares`), so half the squared distance of two vectors
    is the mean of the levels' cosine distances, weighted by these shares.

    Args:
        network: computes the levels.
        images: (N, 3, S, S) in [0, 1].
        grid: rows and columns.
    """
    return joined(network.tokens(images), network.shares, grid)


def joined(levels: Sequence[Tensor], shares: Sequence[float], grid: int) -> Tensor:
    """Return what `joined_patches` does, of raw levels (N, h, w, C) of a network with these shares."""
    pooled = [normalize(adaptive_avg_pool2d(level.permute(0, 3, 1, 2), grid), dim=1) for level in levels]
    weighed = [share**0.5 * level for share, level in zip(shares, pooled, strict=True)]
    return torch.cat(weighed, 1).permute(0, 2, 3, 1)
