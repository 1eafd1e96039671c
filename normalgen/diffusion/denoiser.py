"""The denoiser of `tiny`: a coarse trunk that draws, and a thin fine stage that keeps grain.

The trunk, a UNet2DConditionModel on 8 x 8 patches, answers a clean picture x'. What is left of the noisy picture,
r = x_t - sqrt(abar) x', is noise plus the detail that the trunk missed. Taking that detail to have a spread of
`SPREAD`, the best linear guess of it is a known share of r, near all of it at low noise and none at high noise; the
fine stage, convolutions on 2 x 2 patches, learns what that guess lacks. This is the preconditioning of EDM (Karras
et al. 2022, Eq. 7) around x' instead of around 0: detail passes where little noise lies on it.
"""

from dataclasses import asdict, dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from normalgen.diffusion.schedule import NoiseSchedule

__all__ = ["TinyConfig", "TinyDenoiser"]


@dataclass(frozen=True)
class TinyConfig:
    """Sizes of the tiny denoiser: channels of the trunk's levels, of the text vectors, of the fine stage."""

    channels: tuple[int, ...] = (96, 128, 192)
    layers: int = 1
    text: int = 128
    patch: int = 8
    fine: int = 32
    fine_layers: int = 4


SPREAD = 0.2


class TinyDenoiser(nn.Module):
    """Noisy latents (N, 3 patch^2, h, w), steps (N,) and text (N, L, text) to the clean latents x0."""

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
        self.fine = FineStage(config.fine, config.fine_layers)

    @property
    def multiple(self) -> int:
        """Image widths must be a multiple of this many pixels."""
        return int(self.config.patch * 2 ** (len(self.config.channels) - 1))

    def settings(self) -> dict[str, object]:
        """The configuration as plain data."""
        return asdict(self.config)

    def forward(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, return_dict: bool = False
    ) -> tuple[Tensor]:
        """Called as diffusers' UNets are; answers (x0,)."""
        coarse = self.trunk(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        signal, sigma = self.schedule.scales(timestep, sample)
        left = sample - signal * coarse
        spread = (SPREAD**2 * signal**2 + sigma**2).sqrt()
        missed = self._fine(left / spread, coarse, sigma)
        return (coarse + SPREAD**2 * signal / spread**2 * left + SPREAD * sigma / spread * missed,)

    def _fine(self, left: Tensor, coarse: Tensor, sigma: Tensor) -> Tensor:
        pictures = torch.cat([_regroup(latents, self.config.patch, 2) for latents in (left, coarse)], 1)
        return _regroup(self.fine(pictures, sigma.flatten()), 2, self.config.patch)


def _regroup(latents: Tensor, patch: int, other: int) -> Tensor:
    """Latents of `patch` x `patch` patches as latents of `other` x `other` patches."""
    return pixel_unshuffle(pixel_shuffle(latents, patch), other)


class FineStage(nn.Module):
    """A few convolutions over 2 x 2 patches, (N, 24, H/2, W/2) to (N, 12, H/2, W/2), scaled by the noise level."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(24, width, 3, padding=1)
        self.hidden = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(layers))
        self.levels = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 2 * width * layers))
        self.leave = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, pictures: Tensor, sigma: Tensor) -> Tensor:
        """What the linear guess lacks, for noise scales `sigma` (N,)."""
        features = torch.stack([sigma, sigma.clamp(min=1e-4).log(), (1 - sigma**2).clamp(min=1e-4).log()], 1)
        scales = self.levels(features)[:, :, None, None].chunk(2 * len(self.hidden), 1)
        x = self.enter(pictures)
        for i, layer in enumerate(self.hidden):
            x = x + layer(nn.functional.silu(x * (1 + scales[2 * i]) + scales[2 * i + 1]))
        out: Tensor = self.leave(nn.functional.silu(x))
        return out
