"""Between images and what a denoiser sees.

A codec has `encode` (N, 3, S, S) in [0, 1] -> latents (N, C, h, w), its inverse `decode`, `latent_shape`, and `shift`,
which moves the picture under the latents' grid.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

__all__ = ["Codec", "PixelCodec"]


class Codec(Protocol):
    """What the sampling and training code asks of a codec."""

    clip: float | None
    multiple: int

    def encode(self, images: Tensor) -> Tensor:
        """Images (N, 3, S, S) in [0, 1] to latents (N, C, h, w)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) to images (N, 3, S, S) in [0, 1]."""

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of images `size` pixels wide."""

    def draw_offsets(self, generators: list[torch.Generator]) -> list[tuple[int, int]]:
        """A random displacement of the grid for each image, in pixels down and right."""

    def shift(self, latents: Tensor, offsets: list[tuple[int, int]], sign: int = 1) -> Tensor:
        """The latents of the pictures rolled by `sign` times `offsets` (wrapping round)."""


class PixelCodec:
    """Exact: patches of `factor` x `factor` pixels become channels (pixel unshuffle), and values [0, 1] -> [-1, 1].

    Nothing is lost, so a restored image differs from its query only where the denoiser changed it. Images must be a
    multiple of `multiple` pixels wide.
    """

    clip: float | None = 1.0

    def __init__(self, factor: int, multiple: int) -> None:
        self.factor = factor
        self.multiple = multiple

    def encode(self, images: Tensor) -> Tensor:
        """Images (N, 3, S, S) in [0, 1] to latents (N, 3 factor^2, S / factor, S / factor) in [-1, 1]."""
        return pixel_unshuffle(images * 2 - 1, self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode`, clipped to [0, 1]."""
        return (pixel_shuffle(latents, self.factor) / 2 + 0.5).clamp(0, 1)

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of images `size` pixels wide."""
        return 3 * self.factor**2, size // self.factor, size // self.factor

    def draw_offsets(self, generators: list[torch.Generator]) -> list[tuple[int, int]]:
        """Random offsets in [0, factor) pixels, so that no border of the patch grid stays in one place."""
        draws = [torch.randint(self.factor, (2,), generator=each).tolist() for each in generators]
        return [(down, right) for down, right in draws]

    def shift(self, latents: Tensor, offsets: list[tuple[int, int]], sign: int = 1) -> Tensor:
        """The latents of the pictures rolled by `sign` times `offsets` (wrapping round)."""
        pixels = pixel_shuffle(latents, self.factor)
        rolled = [
            torch.roll(picture, (sign * down, sign * right), (1, 2))
            for picture, (down, right) in zip(pixels, offsets, strict=True)
        ]
        return pixel_unshuffle(torch.stack(rolled), self.factor)
