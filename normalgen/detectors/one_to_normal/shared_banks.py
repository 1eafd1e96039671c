"""S_N kept for other banks: the arms of an evaluation hold many of the same images, and are asked the same queries."""

import hashlib
from itertools import pairwise

import torch
from torch import Tensor

from normalgen.detectors.one_to_normal.branches import Branches, joined
from normalgen.detectors.one_to_normal.triplet import Levels, PatchBank
from normalgen.io.progress import Watch

__all__ = ["Kept", "SharedPatchBank", "bank_levels", "banks_of"]

BLOCK = 16
Kept = dict[tuple[str, str], Levels]
"""The maps (h, w) a level, by the digest of a block of images and that of a query."""


class SharedPatchBank(PatchBank):
    """A bank asked block by block: the references, then 16 images at a time; the least of the blocks' maps is S_N.

    A block that another bank with the same `kept` was asked about costs nothing again.

    Args:
        levels: patch vectors (M, h, w, C) of each level.
        first: how many of the images are references.
        kept: what is known; grows.
        device: where the nearest are looked for.
    """

    def __init__(self, levels: Levels, first: int, kept: Kept, device: str = "cpu") -> None:
        super().__init__(levels, device)
        self.kept = kept
        bounds = [0, *range(first, len(levels[0]), BLOCK), len(levels[0])]
        self.blocks = [PatchBank([level[a:b] for level in levels], device) for a, b in pairwise(bounds)]
        self.names = [_digest(block.levels) for block in self.blocks]

    def maps(self, queries: Levels) -> Levels:
        """As the whole bank's."""
        each = [[level[row] for level in queries] for row in range(len(queries[0]))]
        keys = [_digest(query) for query in each]
        for block, name in zip(self.blocks, self.names, strict=True):
            rows = [row for row, key in enumerate(keys) if (name, key) not in self.kept]
            maps = block.maps([level[rows] for level in queries]) if rows else []
            self.kept |= {(name, keys[row]): [level[i].clone() for level in maps] for i, row in enumerate(rows)}
        found = [[self.kept[name, key] for name in self.names] for key in keys]
        return [
            torch.stack([torch.stack([maps[level] for maps in blocks]).amin(0) for blocks in found])
            for level in range(len(queries))
        ]


def bank_levels(branches: Branches, images: Tensor, watch: Watch) -> Levels:
    """Return the unit patch vectors of images, uint8 (N, 3, S, S), per level; `watch` receives "fill bank"."""
    parts: list[Levels] = []
    watch("fill bank", 0, len(images))
    for part in torch.split(images, branches.batch):
        parts.append(branches.tokens(part))
        watch("fill bank", min(len(parts) * branches.batch, len(images)), len(images))
    return joined(parts)


def banks_of(levels: Levels, first: int, kept: Kept | None, device: str) -> PatchBank:
    """A bank of `levels`, shared where there is something to share it by."""
    return PatchBank(levels, device) if kept is None else SharedPatchBank(levels, first, kept, device)


def _digest(levels: Levels) -> str:
    found = hashlib.sha256()
    for level in levels:
        found.update(f"{tuple(level.shape)}".encode() + level.contiguous().cpu().numpy().tobytes())
    return found.hexdigest()
