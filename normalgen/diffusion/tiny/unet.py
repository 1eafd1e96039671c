"""The denoiser of `tiny`: a coarse trunk that draws, and a thin fine stage that keeps grain.

The trunk, a UNet2DConditionModel on 8 x 8 patches, takes cosine waves and predicts the error of the best linear guess
of the clean picture (`spectrum`). The fine stage, a few convolutions on 2 x 2 patches, takes the noisy picture and the
trunk's, and predicts a correction in units of the fine detail that is still visible in the noise. Both start at zero:
an untrained net returns the linear guess, which at low noise is the picture itself.
"""

from dataclasses import asdict, dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from normalgen.diffusion.schedule import NoiseSchedule
from normalgen.diffusion.tiny.frequency_prior import Spectrum

__all__ = ["TinyConfig", "TinyDenoiser"]


@dataclass(frozen=True)
class TinyConfig:
    """Sizes of the tiny denoiser: channels of the trunk's levels, the text vectors and the fine stage."""

    channels: tuple[int, ...] = (96, 128, 192)
    layers: int = 1
    text: int = 128
    patch: int = 8
    fine: int = 32
    fine_layers: int = 4


SPREAD = 0.2


class TinyDenoiser(nn.Module):
    """Predicts clean latents x0 from noisy latents (N, 3 patch^2, h, w), steps (N,) and text (N, L, text)."""

    def __init__(self, config: TinyConfig, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.config = config
        self.schedule = schedule
        levels = len(config.channels)
        self.trunk = UNet2DConditionModel(
            in_channels=3 * config.patch**2,
            out_channels=3 * config.patch**2,
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            cross_attention_dim=config.text,
            attention_head_dim=8,
            norm_num_groups=16,
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
            up_block_types=(*["CrossAttnUpBlock2D"] * (levels - 1), "UpBlock2D"),
        )
        nn.init.zeros_(self.trunk.get_parameter("conv_out.weight"))
        self.spectrum = Spectrum(config.patch)
        self.fine = FineStage(config.fine, config.fine_layers)

    @property
    def multiple(self) -> int:
        """Image widths must be a multiple of this many pixels."""
        return int(self.config.patch * 2 ** (len(self.config.channels) - 1))

    def settings(self) -> dict[str, object]:
        """Return the configuration as plain data."""
        return asdict(self.config)

    def forward(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, return_dict: bool = False
    ) -> tuple[Tensor]:
        """Return (x0,); the signature is that of diffusers' UNets."""
        signal, sigma = self.schedule.scales(timestep, sample)
        coarse = self._coarse(sample, timestep, encoder_hidden_states, signal, sigma)
        spread = SPREAD * sigma / (SPREAD**2 * signal**2 + sigma**2).sqrt()
        pictures = torch.cat([_regroup(latents, self.config.patch, 2) for latents in (sample, coarse)], 1)
        return (coarse + spread * _regroup(self.fine(pictures, sigma.flatten()), 2, self.config.patch),)

    def _coarse(self, sample: Tensor, timestep: Tensor, text: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
        waves = self.spectrum.waves(sample)
        shrink, share, error = self.spectrum.scales(signal, sigma)
        correction = self.trunk(waves * shrink, timestep, text, return_dict=False)[0]
        return self.spectrum.patches(share * waves + error * correction)


def _regroup(latents: Tensor, patch: int, new_patch: int) -> Tensor:
    """Return latents of `patch` x `patch` patches as latents of `new_patch` x `new_patch` patches."""
    return pixel_unshuffle(pixel_shuffle(latents, patch), new_patch)


class FineStage(nn.Module):
    """A small convolutional U on patches of 2 x 2 and 4 x 4 pixels, (N, 24, H/2, W/2) to (N, 12, H/2, W/2).

    Denoising at low noise is local, so this is enough (FFDNet, Zhang et al. 2018, also works on such patches). The
    noise level scales and shifts every layer.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(24, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        outer, inner = [width] * max(1, layers // 2), [2 * width] * layers
        self.layers = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in (*outer, *inner, *outer))
        self.widths, self.outer = [*outer, *inner, *outer], len(outer)
        modulation = nn.Linear(64, 2 * sum(self.widths))
        nn.init.zeros_(modulation.weight)
        nn.init.zeros_(modulation.bias)
        self.levels = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), modulation)
        self.leave = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, pictures: Tensor, sigma: Tensor) -> Tensor:
        """Return the correction (N, 12, H/2, W/2) for noise scales `sigma` (N,); H and W are multiples of 4."""
        features = torch.stack([sigma, sigma.clamp(min=1e-3).log(), (1 - sigma**2).clamp(min=1e-3).log()], 1)
        modulation = self.levels(features)[:, :, None, None].split([2 * width for width in self.widths], 1)
        steps = list(zip(self.layers, modulation, strict=True))
        outer = _residual(self.enter(pictures), steps[: self.outer])
        inner = _residual(self.down(outer), steps[self.outer : -self.outer])
        x = _residual(outer + pixel_shuffle(self.up(inner), 2), steps[-self.outer :])
        out: Tensor = self.leave(nn.functional.silu(x))
        return out


def _residual(x: Tensor, steps: list[tuple[nn.Module, Tensor]]) -> Tensor:
    for layer, modulation in steps:
        scale, shift = modulation.chunk(2, 1)
        x = x + layer(nn.functional.silu(x * (1 + scale) + shift))
    return x
