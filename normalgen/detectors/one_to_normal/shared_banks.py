"""Caches S_N across banks: the arms of an evaluation share many images, and all their queries."""

import hashlib
from itertools import pairwise

import torch
from torch import Tensor

from normalgen.detectors.one_to_normal.branches import Branches, joined
from normalgen.detectors.one_to_normal.triplet import Levels, PatchBank
from normalgen.io.progress import Watch

__all__ = ["KeptMaps", "SharedPatchBank", "bank_levels", "banks_of"]

BLOCK = 16


class KeptMaps(dict[tuple[str, str], Levels]):
    """Maps (h, w) per level, by the digests of a block of images and of a query.

    Args:
        block: images in a block. 1 shares also between banks that hold different photos of a set, and keeps more maps.
    """

    def __init__(self, block: int = BLOCK) -> None:
        super().__init__()
        self.block = block


class SharedPatchBank(PatchBank):
    """A bank searched block by block: the references, then `kept.block` images. S_N is the minimum over the blocks.

    A block costs nothing if another bank with the same `kept` has already searched it for the query.

    Args:
        levels: patch vectors (M, h, w, C) of each level.
        first: number of references; they come first.
        kept: the cached maps; new ones are added.
        device: where nearest patches are searched.
        subspaces: as in `PatchBank`.
    """

    def __init__(
        self, levels: Levels, first: int, kept: KeptMaps, device: str = "cpu", *, subspaces: bool = False
    ) -> None:
        super().__init__(levels, device, subspaces=subspaces)
        self.kept = kept
        bounds = [0, *range(first, len(levels[0]), kept.block), len(levels[0])]
        self.blocks = [PatchBank([level[a:b] for level in levels], device) for a, b in pairwise(bounds)]
        self.names = [_digest(block.levels) for block in self.blocks]

    def nearest(self, queries: Levels) -> Levels:
        """Return the same maps as `PatchBank.nearest`."""
        keys = [_digest([level[row] for level in queries]) for row in range(len(queries[0]))]
        for block, name in zip(self.blocks, self.names, strict=True):
            rows = [row for row, key in enumerate(keys) if (name, key) not in self.kept]
            maps = block.nearest([level[rows] for level in queries]) if rows else []
            self.kept |= {(name, keys[row]): [level[i].clone() for level in maps] for i, row in enumerate(rows)}
        cached = [[self.kept[name, key] for name in self.names] for key in keys]
        return [
            torch.stack([torch.stack([maps[level] for maps in blocks]).amin(0) for blocks in cached])
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


def banks_of(levels: Levels, first: int, kept: KeptMaps | None, device: str, *, subspaces: bool) -> PatchBank:
    """Return a bank of `levels`; it shares maps through `kept`, if given."""
    if kept is None:
        return PatchBank(levels, device, subspaces=subspaces)
    return SharedPatchBank(levels, first, kept, device, subspaces=subspaces)


def _digest(levels: Levels) -> str:
    hashed = hashlib.sha256()
    for level in levels:
        hashed.update(f"{tuple(level.shape)}".encode() + level.contiguous().cpu().numpy().tobytes())
    return hashed.hexdigest()
