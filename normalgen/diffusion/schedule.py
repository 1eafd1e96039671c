"""The noise schedule; the only module that interprets a denoiser's output.

A clean latent x0 is noised to x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps (Ho et al. 2020, Eq. 4). The denoiser's
output is x0, eps or v = sqrt(abar_t) eps - sqrt(1 - abar_t) x0 (Salimans and Ho 2022); the schedule says which.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from normalgen.errors import PresetError
from normalgen.settings.steps import steps_made

__all__ = ["NoiseSchedule", "Prediction", "Spacing", "cosine_schedule"]

Prediction = Literal["x0", "epsilon", "v"]
Spacing = Literal["trailing", "leading", "linspace"]


@dataclass(frozen=True)
class NoiseSchedule:
    """Noise levels, what the denoiser predicts, and which steps sampling visits.

    Attributes:
        alphas_cumprod: (T,) float64 falling from about 1 to about 0.
        prediction: what the denoiser's output is.
        spacing: n of T steps end at T - 1 ("trailing"), begin at 0 ("leading", as in Stable Diffusion), or both
            ("linspace"); Lin et al. 2024, Table 2.
        offset: added to each leading step.
        end: abar after the last step; 1 is the clean latent, Stable Diffusion stops at abar of step 0.
    """

    alphas_cumprod: Tensor
    prediction: Prediction
    spacing: Spacing = "trailing"
    offset: int = 0
    end: float = 1.0

    def __post_init__(self) -> None:
        if self.prediction not in get_args(Prediction):
            raise PresetError(f"prediction must be one of {get_args(Prediction)}, got {self.prediction!r}")

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(abar_t) and sqrt(1 - abar_t), the signal and noise scale of steps `t` (N,), shaped for `like`."""
        abar = self.alphas_cumprod[t.cpu()].view(-1, *[1] * (like.ndim - 1))
        return abar.sqrt().to(like), (1 - abar).sqrt().to(like)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t (N, ...) of clean latents at steps `t` (N,)."""
        signal, sigma = self.scales(t, x0)
        return signal * x0 + sigma * noise

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return the output that the denoiser should give for `add_noise(x0, noise, t)`."""
        signal, sigma = self.scales(t, x0)
        match self.prediction:
            case "x0":
                return x0
            case "epsilon":
                return noise
            case "v":
                return signal * noise - sigma * x0

    def weight(self, t: Tensor) -> Tensor:
        """Return the weight (N,) of an output's squared error: 1; for x0 as in v-prediction, 1 / sigma^2 up to 100."""
        if self.prediction != "x0":
            return torch.ones(len(t))
        return (1 / (1 - self.alphas_cumprod[t.cpu()])).clamp(max=100).float()

    def split(self, output: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (x0, eps) that a denoiser's `output` gives at `x_t`, steps `t` (N,)."""
        signal, sigma = self.scales(t, x_t)
        match self.prediction:
            case "x0":
                return output, (x_t - signal * output) / sigma
            case "epsilon":
                return (x_t - sigma * output) / signal, output
            case "v":
                return signal * x_t - sigma * output, signal * output + sigma * x_t

    def step(self, output: Tensor, x_t: Tensor, t: Tensor, earlier: Tensor | None, clip: float | None) -> Tensor:
        """Make a DDIM step without added noise (Song et al. 2021, Eq. 12, eta 0) from `t` to `earlier` (None: to x0).

        `clip` bounds x0 to [-clip, clip]; None if the latents' range is unknown.
        """
        x0, noise = self.split(output, x_t, t)
        if clip is not None:
            signal, sigma = self.scales(t, x_t)
            x0 = x0.clamp(-clip, clip)
            noise = (x_t - signal * x0) / sigma
        if earlier is None:
            return x0 if self.end == 1 else math.sqrt(self.end) * x0 + math.sqrt(1 - self.end) * noise
        return self.add_noise(x0, noise, earlier)

    def timesteps(self, steps: int, strength: float, explicit: int = 0) -> list[int]:
        """Return the noise steps to visit, noisiest first: the last `steps_made(steps, strength)` of `steps` even ones.

        `explicit` picks that many of these, evenly spaced (as LCM and TCD do); 0 takes all.

        Raises:
            PresetError: strength is outside (0, 1] or too small for one step, or `explicit` exceeds the steps made.
        """
        made, length = steps_made(steps, strength), len(self)
        if self.spacing == "trailing":
            spaced = [round(length * (steps - i) / steps) - 1 for i in range(steps)]
        elif self.spacing == "linspace":
            spaced = [int(t) for t in np.linspace(0, length - 1, steps).round()[::-1]]
        else:
            spaced = [length // steps * (steps - 1 - i) + self.offset for i in range(steps)]
        kept = spaced[steps - made :]
        if explicit > made:
            raise PresetError(f"explicit_steps must be at most the {made} of strength {strength:g}, got {explicit}")
        return [kept[i * made // explicit] for i in range(explicit)] if explicit else kept


def cosine_schedule(length: int, prediction: Prediction) -> NoiseSchedule:
    """Return the cosine schedule (Nichol and Dhariwal 2021, Eq. 17), betas capped at 0.999."""
    grid = torch.arange(length + 1, dtype=torch.float64) / length
    curve = torch.cos((grid + 0.008) / 1.008 * math.pi / 2) ** 2
    betas = (1 - curve[1:] / curve[:-1]).clamp(max=0.999)
    return NoiseSchedule(torch.cumprod(1 - betas, 0), prediction)
