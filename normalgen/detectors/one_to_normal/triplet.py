"""The triplet (Li et al. 2024, Eq. 4-7): compares a query with its twin (S_P), a normal bank (S_N) and text (S_text).

Patch vectors of level l are (N, h_l, w_l, C_l) with length 1, so distances are 1 - cosine; each map is (N, h_l, w_l).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, normalize

from normalgen.errors import DataError
from normalgen.features.memory_bank import MemoryBank, Scatter, Subspace

__all__ = [
    "WEIGHTS",
    "Choice",
    "Fusion",
    "Levels",
    "Moments",
    "PatchBank",
    "Reduce",
    "fuse",
    "image_scores",
    "moments",
    "twin_maps",
    "unit",
]

Levels = list[Tensor]
Fusion = Literal["calibrated", "paper"]
Reduce = Literal["top", "max"]
Choice = Literal["ssim", "mean", "min_map"]
WEIGHTS = {"p": 1.0, "n": 1.0, "text": 0.5}
TOP, WIDE = 0.01, 256
"""Share of a map that an image score averages, and the fewest channels of a level with a subspace."""


def unit(tokens: Sequence[Tensor]) -> Levels:
    """Return the patch vectors scaled to length 1."""
    return [normalize(level, dim=-1) for level in tokens]


def twin_maps(queries: Levels, twins: Levels) -> Levels:
    """Return S_P: the distance of each patch to the twin's patch at the same position (Eq. 4)."""
    return [1 - (query * twin).sum(-1) for query, twin in zip(queries, twins, strict=True)]


class PatchBank:
    """The patches of normal images, with one memory per level.

    Args:
        levels: patch vectors (M, h, w, C) of each level.
        device: where nearest patches are searched.
        subspaces: also measure the distance to the subspace of normal patches, on levels with enough channels.
    """

    def __init__(self, levels: Levels, device: str = "cpu", *, subspaces: bool = False) -> None:
        self.levels = levels
        self.device = device
        self.wide = [i for i, level in enumerate(levels) if subspaces and level.shape[-1] >= WIDE]

    @cached_property
    def memories(self) -> list[MemoryBank]:
        """One memory per level; made on first use."""
        return [MemoryBank(level.to(self.device)) for level in self.levels]

    @cached_property
    def scatters(self) -> list[Scatter]:
        """What the subspaces of the wide levels are made from; computed on first use."""
        return [Scatter.of(self.levels[i]) for i in self.wide]

    @cached_property
    def subspaces(self) -> list[Subspace]:
        """The subspaces of the wide levels; made on first use."""
        return [Subspace(scatter).to(self.device) for scatter in self.scatters]

    def maps(self, queries: Levels) -> Levels:
        """Return S_N: the distance of each patch to the nearest patch of the bank at any position (Eq. 5).

        After one map per level comes one per wide level: the squared distance to its subspace.

        Differs: the paper has nearest patches only.

        Raises:
            DataError: the bank holds patches of other features.
        """
        kept, given = ([level.shape[-1] for level in levels] for levels in (self.levels, queries))
        if kept != given:
            raise DataError(
                f"the bank holds vectors of length {kept}, the features give {given}; fit the detector again"
            )
        return [*self.nearest(queries), *self.residuals(queries)]

    def nearest(self, queries: Levels) -> Levels:
        """Return the maps of nearest patches, one per level."""
        pairs = zip(self.memories, queries, strict=True)
        return [(memory.distances(query).square() / 2).to(query.device) for memory, query in pairs]

    def residuals(self, queries: Levels) -> Levels:
        """Return the maps of distances to subspaces, one per wide level."""
        pairs = zip(self.subspaces, (queries[i] for i in self.wide), strict=True)
        return [subspace.residuals(query).to(query.device) for subspace, query in pairs]

    def shares(self, levels: Sequence[float]) -> list[float]:
        """Return the share of each of `maps`, from the share of each level: nearest and subspace get half each."""
        halves = [share / (1 + (i in self.wide)) for i, share in enumerate(levels)]
        return [*halves, *(halves[i] for i in self.wide)]

    def without(self, images: Sequence[int]) -> "PatchBank":
        """Return the bank without the images at these indices."""
        left_out = set(images)
        kept = [i for i in range(len(self.levels[0])) if i not in left_out]
        bank = PatchBank([level[kept] for level in self.levels], self.device, subspaces=bool(self.wide))
        pairs = zip(self.scatters, self.wide, strict=True)
        bank.scatters = [scatter - Scatter.of(self.levels[i][[*left_out]]) for scatter, i in pairs]
        return bank


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of a branch's maps of normal images, per level: scalars, or (h, w) if images are aligned."""

    means: Levels
    deviations: Levels

    def standardize(self, maps: Levels) -> Levels:
        """Return the maps as deviations from the maps of normal images."""
        return [
            (level - mean) / deviation for level, mean, deviation in zip(maps, self.means, self.deviations, strict=True)
        ]


def moments(maps: Levels, shares: Sequence[float], *, by_position: bool) -> Moments:
    """Return the mean and deviation of normal images' maps.

    Args:
        maps: (M, h, w) per level.
        shares: of each level, summing to 1. Deviations are divided by share times levels, so that the mean over
            standardized levels gives each its share.
        by_position: take one mean per position, over its 3 x 3 patches; else one mean over all positions.
    """
    means, residuals = [level.mean() for level in maps], maps
    if by_position:
        blurred = [avg_pool2d(level[:, None], 3, 1, 1, count_include_pad=False)[:, 0] for level in maps]
        means = [level.mean(0) for level in blurred]
        residuals = [level - mean for level, mean in zip(maps, means, strict=True)]
    pairs = zip(residuals, shares, strict=True)
    return Moments(means, [level.std().clamp(min=1e-4) / (share * len(maps)) for level, share in pairs])


def fuse(branches: dict[str, Levels], weights: dict[str, float] = WEIGHTS) -> Tensor:
    """Return A = S_P + S_N + 0.5 S_text (Eq. 7), (N, H, W): per patch on the finest grid, mean over levels."""
    size = max((level.shape[1:] for levels in branches.values() for level in levels), key=lambda shape: shape[0])
    total = torch.zeros(1)
    for name, levels in branches.items():
        grown = [interpolate(level[:, None].float(), size, mode="bilinear", align_corners=False) for level in levels]
        total = total + weights[name] * torch.stack(grown).mean(0)[:, 0]
    return total


def image_scores(
    branches: dict[str, Levels], fusion: Fusion, reduce: Reduce, weights: dict[str, float] = WEIGHTS
) -> dict[str, Tensor]:
    """Return one score per branch (N,), and the combined score as "fused".

    `paper`: maximum of each level, mean over levels, weighted sum. `calibrated`: `reduce` of the fused map, which is
    in deviations; a branch's score is `reduce` of its own map.
    """
    if fusion == "paper":
        scores = {
            name: torch.stack([level.flatten(1).amax(1) for level in levels]).mean(0)
            for name, levels in branches.items()
        }
        return scores | {"fused": torch.stack([weights[name] * score for name, score in scores.items()]).sum(0)}
    alone = {name: _reduced(fuse({name: levels}, {name: 1.0}), reduce) for name, levels in branches.items()}
    return alone | {"fused": _reduced(fuse(branches, weights), reduce)}


def _reduced(maps: Tensor, reduce: Reduce) -> Tensor:
    flat = maps.flatten(1)
    return flat.amax(1) if reduce == "max" else flat.topk(max(1, round(TOP * flat.shape[1])), dim=1).values.mean(1)
