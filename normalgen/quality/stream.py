"""Compares the patches of unlabeled photos with those of references and of other photos."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normalgen.io.rng import generator

__all__ = ["PANEL", "Stream", "compared"]

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
) -> Stream:
    """Compare `count` photos with the references and with a panel of at most 96 of them, which `seed` draws.

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
    near, to_panel = [], []
    for start in range(0, count, ROWS):
        photos = patches(range(start, min(start + ROWS, count)))
        near.append(_distances(photos, references))
        to_panel.append(_distances(photos, panel))
        watch(start + len(photos))
    own = torch.cat(to_panel)
    own[members, range(len(members))] = torch.inf
    return Stream(torch.cat(near), own, tuple(members))


def _distances(photos: Tensor, others: Tensor) -> Tensor:
    """Return half the squared distance of each patch of photos (n, P, C) to each of `others` (M, P, C): (n, M, P)."""
    return torch.cat([_block(photos, part) for part in torch.split(others, COLUMNS)], 1)


def _block(photos: Tensor, others: Tensor) -> Tensor:
    likeness = photos.flatten(0, 1) @ others.flatten(0, 1).T
    nearest = likeness.view(len(photos), photos.shape[1], len(others), others.shape[1]).amax(3)
    return (1 - nearest).clamp(min=0).transpose(1, 2).half()
