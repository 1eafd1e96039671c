"""Steps from one noise level to the next: DDIM, and the samplers of distilled models that need only a few steps.

`lcm` and `tcd` need weights distilled for them (`Preset.distilled`); with other weights they blur.
"""

import torch
from torch import Tensor

from normalgen.diffusion.schedule import NoiseSchedule
from normalgen.io.rng import noise_like
from normalgen.settings.presets import Sampler

__all__ = ["advance"]

SIGMA_DATA, TIMESTEP_SCALING = 0.5, 10.0
GAMMA = 0.3


def advance(
    sampler: Sampler,
    schedule: NoiseSchedule,
    output: Tensor,
    x_t: Tensor,
    t: int,
    earlier: int | None,
    clip: float | None,
    generators: list[torch.Generator],
) -> Tensor:
    """Return latents (N, ...) after one step from `t` to `earlier` (None: the end).

    Args:
        sampler: "ddim" without added noise (Song et al. 2021, eta 0), "lcm" (Luo et al. 2023), "tcd" (Zheng et al.
            2024, gamma 0.3).
        schedule: gives noise levels and prediction.
        output: the denoiser's output at `x_t`.
        x_t: latents at step `t`.
        t: the step.
        earlier: the next step.
        clip: bounds x0 to [-clip, clip]; None if the latents' range is unknown.
        generators: one per image; samplers that add noise draw it from these.
    """
    now = torch.full((len(x_t),), t)
    later = None if earlier is None else torch.full_like(now, earlier)
    if sampler == "ddim":
        return schedule.step(output, x_t, now, later, clip)
    x0, noise = schedule.split(output, x_t, now)
    x0 = x0 if clip is None else x0.clamp(-clip, clip)
    if sampler == "lcm":
        x0 = _consistent(x0, x_t, t)
        return x0 if later is None else schedule.add_noise(x0, noise_like(x0, generators), later)
    return _trajectory(schedule, x0, noise, later, generators)


def _consistent(x0: Tensor, x_t: Tensor, t: int) -> Tensor:
    """Apply LCM's boundary condition (Eq. 9): at step 0 the output is the input."""
    scaled = t * TIMESTEP_SCALING
    share = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
    weight: float = scaled / (scaled**2 + SIGMA_DATA**2) ** 0.5
    return weight * x0 + share * x_t


def _trajectory(
    schedule: NoiseSchedule, x0: Tensor, noise: Tensor, later: Tensor | None, generators: list[torch.Generator]
) -> Tensor:
    """Apply TCD's strategic stochastic sampling: go past `later` to (1 - gamma) of it, and back with new noise."""
    if later is None:
        return schedule.add_noise(x0, noise, torch.zeros(len(x0), dtype=torch.long))
    beyond = ((1 - GAMMA) * later).floor().long()
    less_noisy = schedule.add_noise(x0, noise, beyond)
    share = (schedule.alphas_cumprod[later] / schedule.alphas_cumprod[beyond]).view(-1, *[1] * (x0.ndim - 1))
    return share.sqrt().to(x0) * less_noisy + (1 - share).sqrt().to(x0) * noise_like(x0, generators)
