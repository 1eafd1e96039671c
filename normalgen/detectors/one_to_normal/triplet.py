"""The triplet (Li et al. 2024, Eq. 4-7): a query against its twin (S_P), a bank of normals (S_N), and text (S_text).

Patch vectors of level l are (N, h_l, w_l, C_l), of unit length, so distances are 1 - cosine; each map is (N, h_l, w_l).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, normalize

from normalgen.features.memory_bank import MemoryBank

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
TOP = 0.01


def unit(tokens: Sequence[Tensor]) -> Levels:
    """Patch vectors scaled to length 1."""
    return [normalize(level, dim=-1) for level in tokens]


def twin_maps(queries: Levels, twins: Levels) -> Levels:
    """S_P: distance of each patch to the twin's patch in the same place (Eq. 4)."""
    return [1 - (query * twin).sum(-1) for query, twin in zip(queries, twins, strict=True)]


class PatchBank:
    """The patches of normal images, a memory a level.

    Args:
        levels: patch vectors (M, h, w, C) of each level.
        device: where the nearest are looked for.
    """

    def __init__(self, levels: Levels, device: str = "cpu") -> None:
        self.levels = levels
        self.device = device

    @cached_property
    def memories(self) -> list[MemoryBank]:
        """One a level; made when they are first asked."""
        return [MemoryBank(level.to(self.device)) for level in self.levels]

    def maps(self, queries: Levels) -> Levels:
        """S_N: distance of each patch to the nearest patch of the bank, wherever it is (Eq. 5)."""
        pairs = zip(self.memories, queries, strict=True)
        return [(memory.distances(query).square() / 2).to(query.device) for memory, query in pairs]

    def without(self, places: Sequence[int]) -> "PatchBank":
        """The bank without the images at `places`."""
        left_out = set(places)
        kept = [i for i in range(len(self.levels[0])) if i not in left_out]
        return PatchBank([level[kept] for level in self.levels], self.device)


@dataclass(frozen=True)
class Moments:
    """What a branch says of normal images: mean and deviation of its map, a level; scalars, or (h, w) where aligned."""

    means: Levels
    deviations: Levels

    def standardize(self, maps: Levels) -> Levels:
        """Maps in deviations from what normal images give."""
        return [
            (each - mean) / deviation for each, mean, deviation in zip(maps, self.means, self.deviations, strict=True)
        ]


def moments(maps: Levels, *, by_place: bool) -> Moments:
    """Mean and deviation of normal images' maps.

    Args:
        maps: (M, h, w) a level.
        by_place: the mean is taken place by place, over neighbours of 3 x 3 patches; else over all places.
    """
    overall = [each.std().clamp(min=1e-4) for each in maps]
    if not by_place:
        return Moments([each.mean() for each in maps], overall)
    blurred = [avg_pool2d(each[:, None], 3, 1, 1, count_include_pad=False)[:, 0] for each in maps]
    means = [each.mean(0) for each in blurred]
    residual = [(each - mean).std().clamp(min=1e-4) for each, mean in zip(maps, means, strict=True)]
    return Moments(means, residual)


def fuse(branches: dict[str, Levels], weights: dict[str, float] = WEIGHTS) -> Tensor:
    """A = S_P + S_N + 0.5 S_text (Eq. 7), patch by patch on the finest grid: (N, H, W), mean over levels."""
    size = max((level.shape[1:] for levels in branches.values() for level in levels), key=lambda shape: shape[0])
    total = torch.zeros(1)
    for name, levels in branches.items():
        grown = [interpolate(level[:, None].float(), size, mode="bilinear", align_corners=False) for level in levels]
        total = total + weights[name] * torch.stack(grown).mean(0)[:, 0]
    return total


def image_scores(
    branches: dict[str, Levels], fusion: Fusion, reduce: Reduce, weights: dict[str, float] = WEIGHTS
) -> dict[str, Tensor]:
    """One score per branch (N,), and their sum under "fused".

    `paper`: the maximum of each level, mean over levels, weighted sum. `calibrated`: `reduce` of the fused map, which
    is in deviations; a branch's score is that of its own map.
    """
    if fusion == "paper":
        found = {
            name: torch.stack([level.flatten(1).amax(1) for level in levels]).mean(0)
            for name, levels in branches.items()
        }
        return found | {"fused": torch.stack([weights[name] * score for name, score in found.items()]).sum(0)}
    alone = {name: _reduced(fuse({name: levels}, {name: 1.0}), reduce) for name, levels in branches.items()}
    return alone | {"fused": _reduced(fuse(branches, weights), reduce)}


def _reduced(maps: Tensor, reduce: Reduce) -> Tensor:
    flat = maps.flatten(1)
    return flat.amax(1) if reduce == "max" else flat.topk(max(1, round(TOP * flat.shape[1])), dim=1).values.mean(1)
