"""Enlarges and blurs maps of patches, as PaDiM, PatchCore and AnomalyDINO do."""

from functools import cache

import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn.functional import interpolate

__all__ = ["smoothed"]


def smoothed(maps: Tensor, size: int, sigma: float) -> Tensor:
    """Return maps (N, h, w), enlarged bilinearly and blurred by a Gaussian, (N, size, size).

    Both steps are linear and treat rows and columns alike, so each is one small matrix product.

    Args:
        maps: float.
        size: width and height of the result, in pixels.
        sigma: deviation of the Gaussian, in pixels of the result; it ends after 4 deviations and sees the map mirrored
            at its border, as in SciPy. 0 blurs nothing.
    """
    rows, columns = (_weights(cells, size, sigma).to(maps) for cells in maps.shape[1:])
    return rows @ maps @ columns.T


@cache
def _weights(cells: int, size: int, sigma: float) -> Tensor:
    """Return how much each of `cells` counts at each of `size` pixels, (size, cells)."""
    spread = interpolate(torch.eye(cells, dtype=torch.float64)[None], size, mode="linear")[0].T
    return torch.from_numpy(gaussian_filter1d(spread.numpy(), sigma, axis=0)) if sigma else spread
