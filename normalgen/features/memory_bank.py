"""Banks of normal patches: distances to the nearest of them, and to the subspace that they span."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

__all__ = ["MemoryBank", "Scatter", "Subspace"]


SHARE = 0.99


@dataclass(frozen=True)
class Scatter:
    """Sums over vectors of length C, float64 on the CPU; those of some vectors can be taken away again.

    Attributes:
        count: number of vectors.
        total: their sum (C,).
        products: the sum of their outer products (C, C).
    """

    count: int
    total: Tensor
    products: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Self:
        """Return the sums over vectors (..., C)."""
        flat = vectors.reshape(-1, vectors.shape[-1]).cpu().double()
        return cls(len(flat), flat.sum(0), flat.T @ flat)

    def __add__(self, other: Self) -> Self:
        """Return the sums over the vectors of both."""
        return type(self)(self.count + other.count, self.total + other.total, self.products + other.products)

    def __sub__(self, other: Self) -> Self:
        """Return the sums without the vectors of `other`."""
        return type(self)(self.count - other.count, self.total - other.total, self.products - other.products)


class Subspace:
    """The directions in which normal patches vary: the principal components that hold a share of their variance.

    A patch that varies in other directions is unusual, even if it is not far from a normal one (SubspaceAD, CVPR 2026,
    which keeps 0.99).

    Args:
        scatter: of the normal patches.
        share: of the variance, in (0, 1).
    """

    def __init__(self, scatter: Scatter, share: float = SHARE) -> None:
        mean = scatter.total / scatter.count
        values, directions = torch.linalg.eigh(scatter.products / scatter.count - mean.outer(mean))
        values = values.clamp(min=0).flip(0)
        kept = int((values.cumsum(0) < share * values.sum()).sum()) + 1
        self.mean, self.directions = mean.float(), directions.flip(1)[:, :kept].float()

    def to(self, device: str) -> Self:
        """Move it to a torch device, and return it."""
        self.mean, self.directions = self.mean.to(device), self.directions.to(device)
        return self

    @torch.inference_mode()
    def residuals(self, queries: Tensor) -> Tensor:
        """Return the squared distances (...) of queries (..., C) to the subspace."""
        centred = queries.to(self.mean) - self.mean
        inside: Tensor = (centred @ self.directions).square().sum(-1)
        return (centred.square().sum(-1) - inside).clamp(min=0)


class MemoryBank:
    """Vectors (M, C) of normal patches.

    Distances are computed one block of queries and vectors at a time, small enough for a core's cache: with 24 channels
    the limit would otherwise be memory speed, not arithmetic.

    Args:
        vectors: float; any leading shape (..., C).
        chunk: how many distances may be in memory at once; 0 chooses: 1 MB of them on a CPU, 64 MB on a GPU.
    """

    def __init__(self, vectors: Tensor, chunk: int = 0) -> None:
        self.vectors = vectors.reshape(-1, vectors.shape[-1]).contiguous()
        self.halves = torch.linalg.vecdot(self.vectors, self.vectors) / 2
        self.chunk = chunk or (2**18 if self.vectors.device.type == "cpu" else 2**24)

    def __len__(self) -> int:
        return len(self.vectors)

    @torch.inference_mode()
    def distances(self, queries: Tensor) -> Tensor:
        """Return Euclidean distances (...) from queries (..., C) to their nearest vectors in the bank; inf if empty."""
        flat = queries.reshape(-1, queries.shape[-1]).to(self.vectors)
        if not len(self) or not len(flat):
            return torch.full(queries.shape[:-1], torch.inf, device=self.vectors.device)
        rows = max(1, self.chunk // min(len(self), 2 * math.isqrt(self.chunk)))
        return torch.cat([self._nearest(part) for part in torch.split(flat, rows)]).view(queries.shape[:-1])

    def _nearest(self, queries: Tensor) -> Tensor:
        """|q - v|^2 = |q|^2 - 2 (q v - |v|^2 / 2): the largest bracket belongs to the nearest vector v."""
        columns = max(1, self.chunk // len(queries))
        best = torch.full_like(queries[:, 0], -torch.inf)
        for vectors, halves in zip(torch.split(self.vectors, columns), torch.split(self.halves, columns), strict=True):
            torch.maximum(best, torch.addmm(halves, queries, vectors.T, beta=-1).amax(1), out=best)
        return (queries.square().sum(1) - 2 * best).clamp(min=0).sqrt()
