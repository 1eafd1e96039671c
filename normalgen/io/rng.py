"""Random numbers from keys only: the same keys give the same draws, whatever was drawn before.

normalgen touches no global random state. Image `i` of a pool draws from `(seed, i)`, training step `s` from
`(seed, s)`. So work can stop, resume, or be split among machines without changing a pixel.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["generator", "noise_like"]


def generator(*keys: int | str) -> torch.Generator:
    """Return a CPU generator whose state depends only on `keys` (SHA-256 of their text)."""
    import torch

    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
    return torch.Generator().manual_seed(seed)


def noise_like(like: Tensor, generators: list[torch.Generator]) -> Tensor:
    """Return standard normal noise shaped as `like` (N, ...), row `n` from `generators[n]`; drawn on the CPU."""
    import torch

    rows = [torch.randn(like.shape[1:], generator=draw) for draw in generators]
    return torch.stack(rows).to(like)
