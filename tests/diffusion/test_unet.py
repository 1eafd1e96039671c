import numpy as np
import torch
from skimage import data

from normalgen.diffusion.codec import PixelCodec
from normalgen.diffusion.schedule import cosine_schedule
from normalgen.diffusion.tiny.unet import TinyConfig, TinyDenoiser

SCHEDULE = cosine_schedule(1000, "x0")


def denoiser() -> TinyDenoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TinyDenoiser(TinyConfig(channels=(16, 32), text=16, fine=8, fine_layers=2), SCHEDULE).eval()


def answer(x_t: torch.Tensor, t: int) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = denoiser()(x_t, torch.full((len(x_t),), t), torch.zeros(len(x_t), 2, 16))[0]
        return found


def test_at_low_noise_an_untrained_net_passes_the_picture_through() -> None:
    photo = torch.from_numpy(data.brick()[:64, :64].astype(np.float32) / 255).expand(1, 3, 64, 64)
    x_t = PixelCodec(8, 32).encode(photo)
    error = (answer(x_t, 0) - x_t).square().mean().sqrt()
    assert error < 0.01


def test_at_full_noise_the_noise_does_not_leak_through() -> None:
    draw = torch.Generator().manual_seed(1)
    first, second = (torch.randn(1, 192, 4, 4, generator=draw) for _ in range(2))
    clean = [answer(each, 999) for each in (first, second)]
    noise, leaked = (first - second).flatten(), (clean[0] - clean[1]).flatten()
    assert torch.corrcoef(torch.stack([noise, leaked]))[0, 1].abs() < 0.2


def test_the_answer_has_the_shape_of_the_question_at_any_size() -> None:
    for side in (4, 5, 6, 8, 9):
        assert answer(torch.zeros(1, 192, side, side), 500).shape == (1, 192, side, side)


def test_sizes_must_be_multiples_of_the_coarsest_grid() -> None:
    assert denoiser().multiple == 16
