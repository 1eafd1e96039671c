import pytest
import torch
from diffusers import DDIMScheduler

from normalgen.diffusion.schedule import NoiseSchedule, Prediction, cosine_schedule
from normalgen.errors import PresetError

KINDS: list[Prediction] = ["x0", "epsilon", "v"]


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(count, 3, 4, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    return x0, noise, torch.tensor([3, 250, 900][:count])


@pytest.mark.parametrize("kind", KINDS)
def test_split_undoes_add_noise(kind: Prediction) -> None:
    schedule = cosine_schedule(1000, kind)
    x0, noise, t = pictures(3)
    found_x0, found_noise = schedule.split(schedule.target(x0, noise, t), schedule.add_noise(x0, noise, t), t)
    assert torch.allclose(found_x0, x0, atol=1e-9)
    assert torch.allclose(found_noise, noise, atol=1e-9)


def test_noise_keeps_the_variance_of_unit_latents() -> None:
    schedule = cosine_schedule(1000, "x0")
    signal, sigma = schedule.scales(torch.arange(1000), torch.empty(1000, 1))
    assert torch.allclose(signal**2 + sigma**2, torch.ones(1000, 1))
    assert sigma[0] < 0.05
    assert signal[-1] < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_equals_diffusers_ddim(kind: Prediction) -> None:
    names = {"x0": "sample", "epsilon": "epsilon", "v": "v_prediction"}
    peer = DDIMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type=names[kind], clip_sample=False)
    peer.set_timesteps(20)
    schedule = NoiseSchedule(peer.alphas_cumprod.double(), kind)
    output, x_t, _ = pictures(2)
    for t in (550, 100):
        theirs = peer.step(output, t, x_t).prev_sample
        ours = schedule.step(output, x_t, torch.full((2,), t), torch.full((2,), t - 50), None)
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_the_cosine_schedule_is_diffusers() -> None:
    peer = DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    assert torch.allclose(cosine_schedule(1000, "x0").alphas_cumprod.float(), peer.alphas_cumprod, atol=1e-5)


def test_a_step_with_the_true_answer_lands_on_the_true_path() -> None:
    schedule = cosine_schedule(1000, "x0")
    x0, noise, _ = pictures(1)
    late, early = torch.tensor([700]), torch.tensor([300])
    found = schedule.step(x0, schedule.add_noise(x0, noise, late), late, early, None)
    assert torch.allclose(found, schedule.add_noise(x0, noise, early))
    assert torch.equal(schedule.step(x0, found, early, None, None), x0)


def test_clipping_bounds_the_clean_picture_only() -> None:
    schedule = cosine_schedule(1000, "x0")
    wild = torch.full((1, 3, 4, 4), 5.0)
    t = torch.tensor([500])
    assert schedule.step(wild, torch.zeros_like(wild), t, None, 1.0).max() == 1
    assert schedule.step(wild, torch.zeros_like(wild), t, None, None).max() == 5


def test_timesteps_fall_from_the_noisiest_to_near_zero() -> None:
    assert cosine_schedule(1000, "x0").timesteps(4, 1.0) == [999, 749, 499, 249]
    assert cosine_schedule(1000, "x0").timesteps(20, 0.3) == [299, 249, 199, 149, 99, 49]


@pytest.mark.parametrize(("steps", "strength", "made"), [(50, 0.3, 15), (10, 0.7, 7), (20, 0.05, 1), (3, 1.0, 3)])
def test_strength_makes_its_share_of_the_steps(steps: int, strength: float, made: int) -> None:
    assert len(cosine_schedule(1000, "x0").timesteps(steps, strength)) == made


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.01, 0.04])
def test_a_strength_that_makes_no_step_is_an_error(strength: float) -> None:
    with pytest.raises(PresetError, match=f"{strength:g}"):
        cosine_schedule(1000, "x0").timesteps(20, strength)


def test_an_unknown_prediction_is_an_error() -> None:
    with pytest.raises(PresetError, match="noise"):
        NoiseSchedule(torch.ones(3), "noise")  # type: ignore[arg-type]


def test_x0_errors_weigh_as_those_of_a_v_prediction() -> None:
    schedule = cosine_schedule(1000, "x0")
    t = torch.tensor([200, 800])
    sigma = schedule.scales(t, torch.empty(2, 1))[1].flatten()
    assert torch.allclose(schedule.weight(t), 1 / sigma**2, rtol=1e-4)
    assert schedule.weight(torch.tensor([0])) == 100
    assert torch.equal(cosine_schedule(1000, "v").weight(t), torch.ones(2))
