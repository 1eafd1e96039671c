"""Between images and what a denoiser sees.

A codec has `encode` (N, 3, S, S) in [0, 1] -> latents (N, C, h, w), its inverse `decode`, `latent_shape`, `shift`,
which moves the picture under the latents' grid, and `unshift`, which moves it back.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

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

    def shift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """The latents of the pictures displaced by `offsets`, mirrored outwards where the grid reaches past them."""

    def unshift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """The inverse of `shift`."""


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

    def shift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """The latents of the pictures displaced by `offsets`: one patch larger each way, mirrored outwards."""
        moved = [
            pad(picture[None], (right, self.factor - right, down, self.factor - down), mode="reflect")
            for picture, (down, right) in zip(pixel_shuffle(latents, self.factor), offsets, strict=True)
        ]
        return pixel_unshuffle(torch.cat(moved), self.factor)

    def unshift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """The inverse of `shift`: what was mirrored outwards is cut off."""
        pixels = pixel_shuffle(latents, self.factor)
        height, width = (length - self.factor for length in pixels.shape[-2:])
        pieces = [
            picture[:, down : down + height, right : right + width]
            for picture, (down, right) in zip(pixels, offsets, strict=True)
        ]
        return pixel_unshuffle(torch.stack(pieces), self.factor)
