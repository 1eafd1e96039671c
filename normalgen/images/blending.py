"""Blends one image into another inside a mask."""

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

__all__ = ["FEATHER", "blended", "feather"]

FEATHER = 1 / 32
"""How far inside the mask the blending reaches, per width of the image: half a patch of the screening's grid."""


def feather(mask: Tensor) -> Tensor:
    """Return how much of the new image each pixel shows: 0 outside the mask, bool (S, S), rising to 1 inside it."""
    depth = torch.from_numpy(distance_transform_edt(mask.cpu().numpy())).float()
    return (depth / (FEATHER * mask.shape[-1] + 1)).clamp(max=1)


def blended(images: Tensor, others: Tensor, masks: Tensor) -> Tensor:
    """Return `images` (n, 3, S, S) with `others` inside the masks, bool (n, S, S); outside, nothing changes."""
    shares = torch.stack([feather(mask) for mask in masks])[:, None]
    return torch.where(masks[:, None], images + shares * (others - images), images)
