"""Image scores of maps."""

from torch import Tensor

__all__ = ["top_mean"]

TOP = 0.01


def top_mean(maps: Tensor) -> Tensor:
    """Return the mean (N,) of the highest hundredth of each map (N, h, w): rounded down, but at least one position."""
    flat = maps.flatten(1)
    return flat.topk(max(1, int(TOP * flat.shape[1])), dim=1).values.mean(1)
