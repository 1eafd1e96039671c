"""A bank of normal patches, and how far others are from their nearest one."""

import torch
from torch import Tensor

__all__ = ["MemoryBank"]


class MemoryBank:
    """Vectors (M, C) of normal patches.

    Args:
        vectors: float; any leading shape (..., C).
        chunk: how many distances may be in memory at once.
    """

    def __init__(self, vectors: Tensor, chunk: int = 16_000_000) -> None:
        self.vectors = vectors.reshape(-1, vectors.shape[-1]).contiguous()
        self.squares = self.vectors.square().sum(1)
        self.rows = max(1, chunk // max(1, len(self.vectors)))

    def __len__(self) -> int:
        return len(self.vectors)

    @torch.inference_mode()
    def distances(self, queries: Tensor) -> Tensor:
        """Euclidean distance of each of (..., C) to its nearest neighbour in the bank, shape (...); inf if empty."""
        flat = queries.reshape(-1, queries.shape[-1]).to(self.vectors)
        if not len(self) or not len(flat):
            return torch.full(queries.shape[:-1], torch.inf, device=self.vectors.device)
        nearest = [self._nearest(flat[start : start + self.rows]) for start in range(0, len(flat), self.rows)]
        return torch.cat(nearest).view(queries.shape[:-1])

    def _nearest(self, queries: Tensor) -> Tensor:
        products = torch.addmm(self.squares, queries, self.vectors.T, alpha=-2)
        return (products.amin(1) + queries.square().sum(1)).clamp(min=0).sqrt()
