"""Compares the patches of unlabeled photos with those of references and of other photos."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normalgen.io.rng import generator

__all__ = ["PANEL", "Stream", "against", "compared"]

PANEL = 96
"""Photos that every photo is compared with, so that the cost grows with the number of photos, not its square."""
ROWS, COLUMNS = 4, 8
"""Photos compared at a time: their distances fit into a core's cache."""


@dataclass(frozen=True)
class Stream:
    """Distances of each patch of N photos to the nearest patch of each reference and of each photo in a panel.

    Half the squared distance of unit vectors, so in [0, 2].

    Attributes:
        references: (N, k, P).
        panel: (N, M, P); infinite for a photo itself.
        members: which M of the N photos are the panel.
    """

    references: Tensor
    panel: Tensor
    members: tuple[int, ...]

    def nearest(self, trusted: Tensor, count: int) -> Tensor:
        """Return the mean distance of each patch to its `count` nearest images, (N, P).

        Args:
            trusted: which members of the panel count besides the references, bool (M,).
            count: how many images, or all if there are fewer; from each, the nearest patch counts.
        """
        everything = torch.cat([self.references, self.panel[:, trusted]], 1).float()
        finite = int(everything.isfinite().all(2).sum(1).min())
        return everything.topk(max(1, min(count, finite)), 1, largest=False).values.mean(1)


def compared(
    references: Tensor,
    count: int,
    patches: Callable[[Sequence[int]], Tensor],
    seed: int,
    watch: Callable[[int], None],
) -> tuple[Stream, Stream]:
    """Compare `count` photos with the references and with a panel of at most 96 of them, which `seed` draws.

    The first result compares each patch with patches anywhere in another photo, the second with those at its position
    or next to it: where a hole is missing, bare metal is nothing unusual, except at this position.

    Args:
        references: unit vectors (k, P, C).
        count: number of photos.
        patches: takes indices of photos and returns their unit vectors (n, P, C).
        seed: decides the panel.
        watch: receives the number of photos compared so far.
    """
    order = torch.randperm(count, generator=generator("panel", seed, count))
    members = sorted(order[:PANEL].tolist())
    panel = torch.cat([patches(members[i : i + COLUMNS]) for i in range(0, len(members), COLUMNS)])
    parts: list[tuple[Tensor, Tensor]] = []
    for start in range(0, count, ROWS):
        photos = patches(range(start, min(start + ROWS, count)))
        parts.append((_distances(photos, references), _distances(photos, panel)))
        watch(start + len(photos))
    near, own = (torch.cat(column, 1) for column in zip(*parts, strict=True))
    own[:, members, range(len(members))] = torch.inf
    anywhere, in_place = (Stream(near[kind], own[kind], tuple(members)) for kind in range(2))
    return anywhere, in_place


def against(photo: Tensor, references: Tensor, panel: Tensor, without: Sequence[int] = ()) -> tuple[Stream, Stream]:
    """Compare one photo as `compared` does, with references and a panel that are given.

    Args:
        photo: unit vectors (P, C).
        references: (k, P, C).
        panel: (M, P, C).
        without: which of references and panel, in this order, do not count.
    """
    everything = _distances(photo[None], torch.cat([references, panel]))
    everything[:, :, list(without)] = torch.inf
    members, k = tuple(range(len(panel))), len(references)
    anywhere, in_place = (Stream(part[:, :k], part[:, k:], members) for part in everything)
    return anywhere, in_place


def _distances(photos: Tensor, others: Tensor) -> Tensor:
    """Return half the squared distance of each patch of photos (n, P, C) to each of `others` (M, P, C): (2, n, M, P).

    First the nearest patch anywhere counts, then the nearest at the same position or next to it.
    """
    beside = _beside(photos.shape[1])
    return torch.cat([_block(photos, part, beside) for part in torch.split(others, COLUMNS)], 2)


def _block(photos: Tensor, others: Tensor, beside: Tensor) -> Tensor:
    likeness = photos.flatten(0, 1) @ others.flatten(0, 1).T
    likeness = likeness.view(len(photos), photos.shape[1], len(others), others.shape[1])
    near = likeness.gather(3, beside[None, :, None].expand(len(photos), -1, len(others), -1))
    nearest = torch.stack([likeness.amax(3), near.amax(3)])
    return (1 - nearest).clamp(min=0).transpose(2, 3).half()


def _beside(count: int) -> Tensor:
    """Return the indices (P, 9) of each patch of a square grid and of those around it; at the border, some twice."""
    side = math.isqrt(count)
    steps = torch.arange(side)[:, None] + torch.arange(-1, 2)
    lines = steps.clamp(0, side - 1)
    rows, columns = lines[:, None, :, None], lines[None, :, None, :]
    return (rows * side + columns).reshape(count, 9)
