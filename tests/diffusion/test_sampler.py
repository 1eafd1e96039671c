import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler, TCDScheduler

from normalgen.diffusion.sampler import advance
from normalgen.diffusion.schedule import NoiseSchedule, Prediction, cosine_schedule
from normalgen.errors import PresetError
from normalgen.settings.presets import Sampler

NAMES: dict[Prediction, str] = {"x0": "sample", "epsilon": "epsilon", "v": "v_prediction"}
STABLE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


def latents(seed: int) -> torch.Tensor:
    return torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(("sampler", "scheduler"), [("lcm", LCMScheduler), ("tcd", TCDScheduler)])
def test_each_step_equals_diffusers(sampler: Sampler, scheduler: type[LCMScheduler], kind: Prediction) -> None:
    peer = scheduler(**STABLE, prediction_type=NAMES[kind])
    peer.set_timesteps(4)
    schedule = NoiseSchedule(peer.alphas_cumprod.double(), kind)
    ours = theirs = latents(0)
    steps = peer.timesteps.tolist()
    assert schedule.timesteps(50, 1.0, 4) == steps
    for place, (step, following) in enumerate(zip(steps, [*steps[1:], None], strict=True)):
        draws = [torch.Generator().manual_seed(7 + place) for _ in range(2)]
        theirs = peer.step(latents(place), step, theirs, generator=draws[0]).prev_sample
        ours = advance(sampler, schedule, latents(place), ours, step, following, None, [draws[1]])
        assert torch.allclose(ours, theirs, atol=1e-4), place


def test_few_steps_below_a_strength_are_those_of_lcm() -> None:
    peer = LCMScheduler(**STABLE)
    peer.set_timesteps(4, strength=0.3)
    assert NoiseSchedule(peer.alphas_cumprod.double(), "epsilon").timesteps(50, 0.3, 4) == peer.timesteps.tolist()


def test_leading_steps_and_their_end_are_those_of_stable_diffusion() -> None:
    peer = DDIMScheduler(**STABLE, steps_offset=1, set_alpha_to_one=False)
    peer.set_timesteps(50)
    end = float(peer.final_alpha_cumprod)
    schedule = NoiseSchedule(peer.alphas_cumprod.double(), "epsilon", spacing="leading", offset=1, end=end)
    assert schedule.timesteps(50, 1.0) == peer.timesteps.tolist()
    theirs = peer.step(latents(1), 1, latents(0)).prev_sample
    assert torch.allclose(advance("ddim", schedule, latents(1), latents(0), 1, None, None, []), theirs, atol=1e-5)


def test_explicit_steps_begin_at_the_same_noise_and_are_even() -> None:
    schedule = cosine_schedule(1000, "x0")
    assert schedule.timesteps(20, 0.3, 3) == [299, 199, 99]
    assert schedule.timesteps(20, 0.3, 6) == schedule.timesteps(20, 0.3)
    with pytest.raises(PresetError, match=r"at most the 6 of strength 0\.3, got 7"):
        schedule.timesteps(20, 0.3, 7)
