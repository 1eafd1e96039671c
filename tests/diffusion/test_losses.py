import numpy as np
import torch
from skimage import data
from skimage.filters import gaussian
from torch import Tensor
from torch.nn.functional import cosine_similarity

from normalgen.diffusion.losses import FeatureError
from normalgen.features.embedded_cnn import CnnFeatures


def photos(blur: float = 0.0) -> Tensor:
    """Two photos, blurred."""
    grey = np.stack([data.brick()[:64, :64], data.grass()[:64, :64]]) / 255
    blurred = np.stack([gaussian(each, blur) for each in grey]).astype(np.float32)
    return torch.from_numpy(blurred)[:, None].repeat(1, 3, 1, 1)


def error(guess: Tensor, clean: Tensor, weight: float = 1.0) -> Tensor:
    return FeatureError(weight, "cpu")(guess, clean)


def test_equal_images_have_no_error() -> None:
    assert error(photos(), photos()).shape == (2,)
    assert error(photos(), photos()).abs().max() < 1e-5


def test_the_error_grows_with_blur() -> None:
    errors = torch.stack([error(photos(blur), photos()) for blur in (0, 0.5, 1, 2, 4)])
    assert (errors.diff(dim=0) > 0.005).all()


def test_the_weight_scales_the_error() -> None:
    one, three = (error(photos(2), photos(), weight) for weight in (1.0, 3.0))
    assert torch.allclose(three, 3 * one, rtol=1e-4)


def test_the_error_is_one_minus_cosine_over_levels_and_patches() -> None:
    maps = zip(*(CnnFeatures().maps(images) for images in (photos(2), photos())), strict=True)
    levels = [(1 - cosine_similarity(guess, clean, dim=1)).mean((1, 2)) for guess, clean in maps]
    assert torch.allclose(error(photos(2), photos()), torch.stack(levels).mean(0), atol=1e-6)


def test_each_image_is_judged_for_itself() -> None:
    mixed = torch.stack([photos()[0], photos(2)[1]])
    found = error(mixed, photos())
    assert found[0] < 1e-5
    assert torch.allclose(found[1], error(photos(2), photos())[1], atol=1e-5)


def test_the_gradient_reaches_the_guess_and_leads_to_the_clean_image() -> None:
    guess = photos(2).requires_grad_()
    before = error(guess, photos()).sum()
    before.backward()  # type: ignore[no-untyped-call]
    gradient = torch.zeros_like(guess) if guess.grad is None else guess.grad
    assert (gradient.abs().flatten(1).mean(1) > 0).all()
    after = error(guess.detach() - 0.02 * gradient / gradient.abs().max(), photos()).sum()
    assert after < before
