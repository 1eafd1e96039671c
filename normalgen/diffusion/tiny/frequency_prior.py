"""Preconditioning by a prior that holds for every photo: its spectrum falls as 1 / frequency^2 (Field 1987).

Patches of pixels become cosine waves (DCT-II) of brightness and two colour differences. The spread of each wave over
natural images is known in advance. So the best linear guess of a clean wave from a noisy one (Wiener) is known too, and
its expected error. The net takes waves scaled to spread 1 and predicts only the guess's error, in units of its expected
size, so it starts as a decent denoiser. This is EDM's preconditioning (Karras et al. 2022, Eq. 7) per frequency.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["Spectrum"]

# Variance of the mean of an 8 x 8 patch, and of its waves times frequency^2, for brightness and two colour differences;
# pixels in [-1, 1]. Measured on 600 photos and textures; the guesses hardly depend on them.
MEAN_POWER = (45.0, 4.4, 1.2)
WAVE_POWER = (0.8, 0.03, 0.01)
COLOURS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))


class Spectrum(nn.Module):
    """Turns latents (N, 3 patch^2, h, w) of pixel patches into waves, and gives each wave's preconditioning.

    `waves` is an orthonormal change of basis and `patches` its inverse. It has no learned weights.
    """

    basis: Tensor
    power: Tensor

    def __init__(self, patch: int) -> None:
        super().__init__()
        colours = torch.tensor(COLOURS, dtype=torch.float64)
        colours /= colours.norm(dim=1, keepdim=True)
        waves = torch.kron(_cosines(patch), _cosines(patch))
        self.register_buffer("basis", torch.kron(colours, waves).float(), persistent=False)
        self.register_buffer("power", _power(patch), persistent=False)

    def waves(self, latents: Tensor) -> Tensor:
        """Return patches of pixels as waves, same shape."""
        return torch.einsum("kc,nchw->nkhw", self.basis, latents)

    def patches(self, waves: Tensor) -> Tensor:
        """Return waves as patches of pixels, same shape."""
        return torch.einsum("kc,nkhw->nchw", self.basis, waves)

    def scales(self, signal: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return input scale, share of the noisy wave in the guess, and error spread; x_t = signal x0 + sigma eps."""
        power = self.power.view(1, -1, 1, 1)
        variance = signal**2 * power + sigma**2
        return variance.rsqrt(), signal * power / variance, power.sqrt() * sigma * variance.rsqrt()


def _cosines(size: int) -> Tensor:
    """Return the orthonormal DCT-II matrix (wave, pixel)."""
    index = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi * (2 * index + 1) * index[:, None] / (2 * size)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows


def _power(patch: int) -> Tensor:
    """Return the expected variance of each wave (3 patch^2,); a patch mean's is patch^2 / 64 of an 8 x 8 patch's."""
    steps = torch.arange(patch, dtype=torch.float64) * 8 / patch
    squared = (steps[:, None] ** 2 + steps**2).flatten()
    squared[0] = 1
    rows = [wave / squared for wave in WAVE_POWER]
    for row, mean in zip(rows, MEAN_POWER, strict=True):
        row[0] = mean * patch**2 / 64
    return torch.cat(rows).float()
