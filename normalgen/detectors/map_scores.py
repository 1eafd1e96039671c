"""Image scores of maps, and those of left-out references."""

from collections.abc import Callable

import torch
from torch import Tensor

from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.one_to_normal.stitching import highest

__all__ = ["left_out_scores", "top_mean"]

TOP = 0.01


def top_mean(maps: Tensor) -> Tensor:
    """Return the mean (N,) of the highest hundredth of each map (N, h, w): rounded down, but at least one position."""
    flat = maps.flatten(1)
    return flat.topk(max(1, int(TOP * flat.shape[1])), dim=1).values.mean(1)


def left_out_scores(known: Known | None, judge: Callable[[Tensor, int], tuple[Tensor, Tensor]]) -> Tensor:
    """Return the score (k,) of each reference, the highest of its tiles; none if there is only one reference.

    Args:
        known: the references' pixels; None for none.
        judge: takes images (1, 3, S, S) in [0, 1] and the index of a reference to leave out; returns scores and maps.
    """
    if known is None or len(known.digests) < 2:
        return torch.empty(0)
    owners = known.sources[: len(known.photos)]
    pairs = zip(known.photos, owners, strict=True)
    return highest(torch.cat([judge(photo[None].float() / 255, owner)[0] for photo, owner in pairs]), owners)
