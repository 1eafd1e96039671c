"""A bank of normal patches, and distances to the nearest of them."""

import math

import torch
from torch import Tensor

__all__ = ["MemoryBank"]


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
        rows = max(1, math.isqrt(self.chunk) // 2)
        return torch.cat([self._nearest(part) for part in torch.split(flat, rows)]).view(queries.shape[:-1])

    def _nearest(self, queries: Tensor) -> Tensor:
        """|q - v|^2 = |q|^2 - 2 (q v - |v|^2 / 2): the largest bracket belongs to the nearest vector v."""
        columns = max(1, self.chunk // len(queries))
        best = torch.full_like(queries[:, 0], -torch.inf)
        for vectors, halves in zip(torch.split(self.vectors, columns), torch.split(self.halves, columns), strict=True):
            torch.maximum(best, torch.addmm(halves, queries, vectors.T, beta=-1).amax(1), out=best)
        return (queries.square().sum(1) - 2 * best).clamp(min=0).sqrt()
