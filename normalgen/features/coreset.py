"""Greedy coresets: few vectors, so chosen that every other one is near one of them.

Greedy k-centre (Gonzalez 1985) takes the vector that is farthest from those chosen so far, again and again. The largest
distance left, the radius, is at most twice the smallest that any choice of as many vectors can reach.
"""

import numpy as np
import torch
from torch import Tensor

from normalgen.features.memory_bank import MemoryBank
from normalgen.io.rng import generator

__all__ = ["STARTS", "greedy_coreset", "projection", "radius"]

STARTS = 10
"""How many random vectors the first one is measured from."""
LEAST, MOST, GROWTH = 64, 2048, 4
"""Bounds of the candidates per round, and how many there are for each one that the round before took."""
SHRINK, PART = 0.85, 4096
"""How far the radius shrinks in a stage, and how many vectors are gathered at a time."""


def projection(channels: int, dims: int, seed: int) -> Tensor:
    """Return a random linear map (channels, dims), which keeps distances up to a common factor and some noise.

    As PatchCore's code draws it: uniformly. With 128 dimensions a distance is off by 6 %, with 512 by 3 %.
    """
    return torch.rand(channels, dims, generator=generator(seed, "projection")) * 2 - 1


@torch.inference_mode()
def greedy_coreset(vectors: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """Return the indices (count,) of vectors (N, C) in the order in which greedy k-centre takes them; none twice.

    The first is the one with the largest mean distance to `STARTS` random ones.

    Differs: PatchCore's code keeps these mean distances as if the random vectors had been taken. Vectors around them
    can then stay without any near one in the coreset, as long as there are others to take.

    Distances to those taken only shrink, so old ones are upper bounds. Each round looks at the vectors with the largest
    bounds, and takes among them as long as the farthest is farther than the bounds of all others: just those that
    taking one at a time would take, up to rounding. Only then are bounds renewed, by one product of matrices for all
    that the round took, and only those that are above the radius at which the stage ends: many vectors are never as
    far again. Besides the vectors, memory holds a few numbers for each, and a few tens of MB.

    Args:
        vectors: float, finite.
        count: how many to take, from 1 to N.
        seed: decides the random ones.
    """
    if not 1 <= count <= len(vectors):
        raise ValueError(f"a coreset of {len(vectors)} vectors has 1 to {len(vectors)} of them, got {count}")
    bounds, most = _Bounds(vectors, _first(vectors, seed)), LEAST
    while len(bounds.taken) < count:
        limit = bounds.stage()
        active = bounds.renewed((bounds.values > limit).nonzero()[:, 0], limit)
        while len(active) and len(bounds.taken) < count:
            new = _round(vectors, bounds.values, active, limit, most, count - len(bounds.taken))
            bounds.take(new)
            active = active if len(bounds.taken) == count else bounds.renewed(active, limit)
            most = min(MOST, max(LEAST, GROWTH * len(new)))
    return bounds.taken


class _Bounds:
    """Upper bounds of the distances of vectors (N, C) to the nearest of those taken.

    Attributes:
        taken: indices, in order.
        values: (N,); minus infinity for those taken.
        seen: how many of those taken a bound takes into account (N,).
    """

    def __init__(self, vectors: Tensor, first: Tensor) -> None:
        self.vectors, self.taken = vectors, first[:0]
        self.values = torch.full_like(vectors[:, 0], torch.inf)
        self.seen = torch.zeros(len(vectors), dtype=torch.int32, device=vectors.device)
        self.take(first)
        self.renewed(torch.arange(len(vectors), device=vectors.device), 0)

    def take(self, new: Tensor) -> None:
        self.taken = torch.cat([self.taken, new])
        self.values[new] = -torch.inf

    def stage(self) -> float:
        """Return the radius at which the next stage ends."""
        largest = float(self.values.max())
        return SHRINK * largest if largest > 0 else -1.0

    def renewed(self, rows: Tensor, limit: float) -> Tensor:
        """Renew the bounds of `rows`, and return those of them that are still above `limit`."""
        late = rows[self.seen[rows] < len(self.taken)]
        for seen in self.seen[late].bincount().nonzero()[:, 0].tolist():
            bank = MemoryBank(self.vectors[self.taken[seen:]])
            for part in torch.split(late[self.seen[late] == seen], PART):
                self.values[part] = torch.minimum(self.values[part], bank.distances(self.vectors[part]))
        self.seen[rows] = len(self.taken)
        return rows[self.values[rows] > limit]


def radius(vectors: Tensor, chosen: Tensor) -> float:
    """Return the largest distance of vectors (N, C) to the nearest of those with the indices `chosen`."""
    return float(_distances(vectors, chosen).max())


def _first(vectors: Tensor, seed: int) -> Tensor:
    starts = torch.randperm(len(vectors), generator=generator(seed, "starts"))[:STARTS].to(vectors.device)
    return torch.stack([_distances(vectors, start[None]) for start in starts]).mean(0).argmax()[None]


def _distances(vectors: Tensor, chosen: Tensor) -> Tensor:
    """Return the distances (N,) of vectors to the nearest of those chosen, with little more memory."""
    bank = MemoryBank(vectors[chosen])
    return torch.cat([bank.distances(part) for part in torch.split(vectors, PART)])


def _round(vectors: Tensor, bounds: Tensor, active: Tensor, limit: float, most: int, wanted: int) -> Tensor:
    """Return the indices of the next vectors to take, from 1 to `wanted`.

    Args:
        vectors: (N, C).
        bounds: of all vectors (N,).
        active: indices of those with a bound above `limit`; theirs are true distances.
        limit: no other bound is larger.
        most: how many candidates to look at.
        wanted: most indices to return.
    """
    values, order = bounds[active].topk(min(most + 1, len(active)))
    candidates = active[order[:most]]
    limit = float(values[most]) if len(values) > most else limit
    left = values[:most].cpu().numpy()
    apart = torch.cdist(vectors[candidates], vectors[candidates]).cpu().numpy()
    taken: list[int] = []
    while len(taken) < min(wanted, len(left)):
        farthest = int(left.argmax())
        if taken and left[farthest] <= limit:
            break
        taken.append(farthest)
        np.minimum(left, apart[farthest], out=left)
        left[farthest] = -np.inf
    return candidates[torch.tensor(taken, device=candidates.device)]
