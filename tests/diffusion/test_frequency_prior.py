import numpy as np
import torch
from scipy.fft import dctn
from skimage import data

from normalgen.diffusion.codec import PixelCodec
from normalgen.diffusion.tiny.frequency_prior import Spectrum

SPECTRUM, CODEC = Spectrum(8), PixelCodec(8, 32)


def brick() -> torch.Tensor:
    grey = torch.from_numpy(data.brick()[:256, :256].astype(np.float32) / 255)
    return CODEC.encode(grey.expand(1, 3, 256, 256))


def test_waves_are_an_orthonormal_change_of_basis() -> None:
    latents = torch.randn(2, 192, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(SPECTRUM.patches(SPECTRUM.waves(latents)), latents, atol=1e-5)
    assert torch.allclose(SPECTRUM.waves(latents).norm(), latents.norm(), rtol=1e-5)


def test_brightness_waves_are_scipys_dct_of_the_grey_patch() -> None:
    patch = brick()[0, :64, 4, 7].reshape(8, 8).numpy()
    waves = SPECTRUM.waves(brick())[0, :64, 4, 7].reshape(8, 8).numpy()
    assert np.allclose(waves, dctn(patch, norm="ortho") * np.sqrt(3), atol=1e-4)


def test_a_grey_picture_has_no_colour_waves() -> None:
    assert SPECTRUM.waves(brick())[:, 64:].abs().max() < 1e-4


def test_the_scales_are_those_of_wiener() -> None:
    signal, sigma = torch.tensor([[[[0.8]]]]), torch.tensor([[[[0.6]]]])
    shrink, share, error = SPECTRUM.scales(signal, sigma)
    power = SPECTRUM.power.view(1, -1, 1, 1)
    assert torch.allclose(shrink**-2, 0.64 * power + 0.36)
    assert torch.allclose(share, 0.8 * power / (0.64 * power + 0.36))
    assert torch.allclose(error**2, power * (1 - 0.8 * share), atol=1e-6)


def test_the_linear_guess_halves_the_noise_of_a_photo() -> None:
    clean, (signal, sigma) = brick(), (torch.tensor(0.95), torch.tensor(0.3))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = signal * clean + sigma * noise
    _, share, _ = SPECTRUM.scales(signal.view(1, 1, 1, 1), sigma.view(1, 1, 1, 1))
    guess = SPECTRUM.patches(share * SPECTRUM.waves(noisy))
    assert (guess - clean).square().mean() < 0.5 * (noisy / signal - clean).square().mean()
