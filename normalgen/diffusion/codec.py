"""Codecs turn images into the latents that a denoiser takes, and back.

`encode` has two halves: `moments` is costly and depends only on the image; `latents` draws from the moments. `shift`
moves the picture under the latents' grid, and `unshift` moves it back.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, pad, pixel_shuffle, pixel_unshuffle

from normalgen.io.rng import noise_like

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

__all__ = ["Codec", "LatentCodec", "PixelCodec"]


class Codec(ABC):
    """Converts images to latents and back; by default exactly, on a fixed grid.

    Attributes:
        clip: bounds latents to [-clip, clip]; None if their range is unknown.
        multiple: image widths must be a multiple of this many pixels.
    """

    clip: float | None = None
    multiple: int

    def encode(self, images: Tensor, generators: Sequence[torch.Generator] = ()) -> Tensor:
        """Return latents (N, C, h, w) of images (N, 3, S, S) in [0, 1]."""
        return self.latents(self.moments(images), generators)

    @abstractmethod
    def moments(self, images: Tensor) -> Tensor:
        """Return what the latents of images (N, 3, S, S) in [0, 1] are drawn from; worth caching."""

    def latents(self, moments: Tensor, generators: Sequence[torch.Generator] = ()) -> Tensor:
        """Return latents (N, C, h, w) drawn with one generator per image, or their mean without; here `moments`."""
        return moments

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Return images (N, 3, S, S) in [0, 1] from latents (N, C, h, w)."""

    @abstractmethod
    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """Return (C, h, w) of the latents of images `size` pixels wide."""

    def masked(self, masks: Tensor) -> Tensor:
        """Return which latents (N, 1, h, w) show any pixel of `masks`, bool (N, S, S)."""
        _, height, width = self.latent_shape(masks.shape[-1])
        return adaptive_max_pool2d(masks[:, None].float(), (height, width)) > 0

    def draw_offsets(self, generators: list[torch.Generator]) -> list[tuple[int, int]]:
        """Return a random shift of the grid per image, in pixels down and right; here 0, and nothing is drawn."""
        return [(0, 0)] * len(generators)

    def shift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """Return the latents of the pictures shifted by `offsets`, mirrored where the grid extends beyond them."""
        return latents

    def unshift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """Invert `shift`."""
        return latents


class PixelCodec(Codec):
    """Turns patches of `factor` x `factor` pixels into channels (pixel unshuffle), and values from [0, 1] to [-1, 1].

    This loses nothing, so a restored image differs from its query only where the denoiser changed it. Image widths must
    be a multiple of `multiple` pixels.
    """

    clip = 1.0

    def __init__(self, factor: int, multiple: int) -> None:
        self.factor = factor
        self.multiple = multiple

    def moments(self, images: Tensor) -> Tensor:
        """Return latents (N, 3 factor^2, S / factor, S / factor) in [-1, 1] of images (N, 3, S, S) in [0, 1]."""
        return pixel_unshuffle(images * 2 - 1, self.factor)

    def decode(self, latents: Tensor) -> Tensor:
        """Invert `encode`, and clip to [0, 1]."""
        return (pixel_shuffle(latents, self.factor) / 2 + 0.5).clamp(0, 1)

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """Return (C, h, w) of the latents of images `size` pixels wide."""
        return 3 * self.factor**2, size // self.factor, size // self.factor

    def draw_offsets(self, generators: list[torch.Generator]) -> list[tuple[int, int]]:
        """Return random offsets in [0, factor) pixels, so that the borders of patches move."""
        draws = [torch.randint(self.factor, (2,), generator=draw).tolist() for draw in generators]
        return [(down, right) for down, right in draws]

    def shift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """Return the latents of the pictures shifted by `offsets`: one patch larger in each direction, mirrored."""
        moved = [
            pad(picture[None], (right, self.factor - right, down, self.factor - down), mode="reflect")
            for picture, (down, right) in zip(pixel_shuffle(latents, self.factor), offsets, strict=True)
        ]
        return pixel_unshuffle(torch.cat(moved), self.factor)

    def unshift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """Invert `shift`: cut off the mirrored border."""
        pixels = pixel_shuffle(latents, self.factor)
        height, width = (length - self.factor for length in pixels.shape[-2:])
        pieces = [
            picture[:, down : down + height, right : right + width]
            for picture, (down, right) in zip(pixels, offsets, strict=True)
        ]
        return pixel_unshuffle(torch.stack(pieces), self.factor)


class LatentCodec(Codec):
    """Stable Diffusion's autoencoder (Rombach et al. 2022): 8 x 8 pixels become 4 numbers, drawn from a posterior.

    Its grid is fixed: the autoencoder leaves no seams, and shifting latents by less than a patch is not exact.
    """

    def __init__(self, vae: "AutoencoderKL") -> None:
        self.vae = vae
        self.factor = self.multiple = 2 ** (len(vae.config.block_out_channels) - 1)

    def moments(self, images: Tensor) -> Tensor:
        """Return mean and log variance of the posterior (N, 8, S / 8, S / 8)."""
        parameters: Tensor = self.vae.encode(images * 2 - 1).latent_dist.parameters
        return parameters.float()

    def latents(self, moments: Tensor, generators: Sequence[torch.Generator] = ()) -> Tensor:
        """Return scaled latents drawn from the posterior; without generators, its mean."""
        mean, log_variance = moments.chunk(2, dim=1)
        if generators:
            mean = mean + (log_variance.clamp(-30, 20) / 2).exp() * noise_like(mean, list(generators))
        scaled: Tensor = self.vae.config.scaling_factor * mean
        return scaled

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (N, 3, S, S) in [0, 1] from latents."""
        images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]
        return (images.float() / 2 + 0.5).clamp(0, 1)

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """Return (4, S / 8, S / 8) for images S = `size` pixels wide."""
        return int(self.vae.config.latent_channels), size // self.factor, size // self.factor
