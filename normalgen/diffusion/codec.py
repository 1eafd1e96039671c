"""Between images and what a denoiser sees.

`encode` has two halves: `moments`, which is costly and depends on the image alone, and `latents`, which draws from it.
`shift` moves the picture under the latents' grid, and `unshift` moves it back.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from normalgen.io.rng import noise_like

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

__all__ = ["Codec", "LatentCodec", "PixelCodec"]


class Codec(ABC):
    """Exact latents on a grid that stays where it is, unless a codec says otherwise.

    Attributes:
        clip: bounds latents to [-clip, clip]; None where their range is not known.
        multiple: images must be a multiple of so many pixels wide.
    """

    clip: float | None = None
    multiple: int

    def encode(self, images: Tensor, generators: Sequence[torch.Generator] = ()) -> Tensor:
        """Images (N, 3, S, S) in [0, 1] to latents (N, C, h, w)."""
        return self.latents(self.moments(images), generators)

    @abstractmethod
    def moments(self, images: Tensor) -> Tensor:
        """All that the latents of images (N, 3, S, S) in [0, 1] are drawn from; worth keeping."""

    def latents(self, moments: Tensor, generators: Sequence[torch.Generator] = ()) -> Tensor:
        """Latents (N, C, h, w) drawn with one generator per image, or their mean without; here `moments`."""
        return moments

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) to images (N, 3, S, S) in [0, 1]."""

    @abstractmethod
    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(C, h, w) of the latents of images `size` pixels wide."""

    def draw_offsets(self, generators: list[torch.Generator]) -> list[tuple[int, int]]:
        """A random displacement of the grid per image, in pixels down and right; here none, and nothing is drawn."""
        return [(0, 0)] * len(generators)

    def shift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """The latents of the pictures displaced by `offsets`, mirrored outwards where the grid reaches past them."""
        return latents

    def unshift(self, latents: Tensor, offsets: list[tuple[int, int]]) -> Tensor:
        """The inverse of `shift`."""
        return latents


class PixelCodec(Codec):
    """Exact: patches of `factor` x `factor` pixels become channels (pixel unshuffle), and values [0, 1] -> [-1, 1].

    Nothing is lost, so a restored image differs from its query only where the denoiser changed it. Images must be a
    multiple of `multiple` pixels wide.
    """

    clip = 1.0

    def __init__(self, factor: int, multiple: int) -> None:
        self.factor = factor
        self.multiple = multiple

    def moments(self, images: Tensor) -> Tensor:
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


class LatentCodec(Codec):
    """Stable Diffusion's autoencoder (Rombach et al. 2022): 8 x 8 pixels become 4 numbers, drawn from a posterior.

    Its grid stays where it is: the autoencoder leaves no seams, and moving latents by less than a patch is not exact.
    """

    def __init__(self, vae: "AutoencoderKL") -> None:
        self.vae = vae
        self.factor = self.multiple = 2 ** (len(vae.config.block_out_channels) - 1)

    def moments(self, images: Tensor) -> Tensor:
        """Mean and log variance of the posterior (N, 8, S / 8, S / 8)."""
        parameters: Tensor = self.vae.encode(images * 2 - 1).latent_dist.parameters
        return parameters.float()

    def latents(self, moments: Tensor, generators: Sequence[torch.Generator] = ()) -> Tensor:
        """Scaled latents from the posterior, or its mean without generators."""
        mean, log_variance = moments.chunk(2, dim=1)
        if generators:
            mean = mean + (log_variance.clamp(-30, 20) / 2).exp() * noise_like(mean, list(generators))
        scaled: Tensor = self.vae.config.scaling_factor * mean
        return scaled

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to images (N, 3, S, S) in [0, 1]."""
        images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]
        return (images.float() / 2 + 0.5).clamp(0, 1)

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """(4, S / 8, S / 8) of images `size` pixels wide."""
        return int(self.vae.config.latent_channels), size // self.factor, size // self.factor
