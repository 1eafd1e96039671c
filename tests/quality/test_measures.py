import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from skimage import data
from skimage.filters import gaussian
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.io.atomic import json_bytes
from normalgen.quality.measures import Measures, coverage, measure, patch_distance, seam, sharpness, spectrum

X = torch.arange(64.0)


def drawing(grey: Tensor) -> Tensor:
    return grey.expand(1, 3, 64, 64)


def noise(count: int) -> Tensor:
    return torch.randn(count, 1, 64, 64, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1) * 0.1 + 0.5


def patches(seed: int, count: int = 2) -> Tensor:
    return normalize(torch.randn(count, 4, 4, 16, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_the_sharpness_of_a_ramp_is_its_mean_slope() -> None:
    ramps = torch.cat([drawing(0.01 * X[:, None] - 0.004 * X), drawing(0.002 * X)])
    assert torch.allclose(sharpness(ramps), torch.tensor([0.007, 0.001]), rtol=1e-4)


def test_sharpness_is_of_brightness_not_of_colour() -> None:
    red = drawing(0.006 * X) * torch.tensor([1, 0, 0]).view(3, 1, 1)
    opposed = drawing(0.006 * X) * torch.tensor([1, -1, 0]).view(3, 1, 1)
    assert torch.allclose(sharpness(torch.cat([red, opposed])), torch.tensor([0.001, 0.0]), atol=1e-6)


def test_the_more_blur_the_less_sharp() -> None:
    brick = data.brick()[:64, :64] / 255
    blurred = [torch.from_numpy(gaussian(brick, sigma).astype(np.float32)) for sigma in (0, 0.5, 1, 2, 4)]
    found = sharpness(torch.cat([drawing(each) for each in blurred]))
    assert (found.diff() < 0).all()


def test_noise_has_no_seams() -> None:
    assert torch.allclose(seam(noise(16)).mean(), torch.tensor(1.0), atol=0.02)
    assert (seam(noise(16)) - 1).abs().max() < 0.1


@pytest.mark.parametrize("period", [8, 16])
def test_steps_on_a_ramp_are_seams_as_much_steeper_as_they_are(period: int) -> None:
    one_way = 0.002 * X + 0.006 * (X // period)
    found = seam(drawing(one_way[:, None] + one_way), period)
    assert torch.allclose(found, torch.tensor([4.0]), rtol=1e-3)


def test_tiles_that_differ_are_seams_on_their_own_grid_only() -> None:
    tiles = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)).repeat_interleave(8, 2)
    tiled = noise(4) + tiles.repeat_interleave(8, 3)
    assert seam(tiled).min() > 1.5
    assert seam(tiled[..., 3:, 3:]).max() < 1


@pytest.mark.parametrize("cycles", [3, 6, 12, 24])
@pytest.mark.parametrize("turned", [False, True])
def test_a_cosine_is_in_the_octave_of_its_cycles(cycles: int, turned: bool) -> None:
    wave = drawing(0.5 + 0.3 * torch.cos(2 * math.pi * cycles * X / 64 + 1))
    (power,) = spectrum(wave.mT if turned else wave)
    assert len(power) == 5
    assert power[int(math.log2(cycles))] > 0.9 * power.sum()


def test_borders_that_do_not_meet_are_no_fine_detail() -> None:
    (power,) = spectrum(drawing(0.01 * X))
    assert power[-1] < 1e-8 * power[0]


def test_white_noise_has_the_same_power_in_every_octave() -> None:
    power = spectrum(noise(400)).mean(0)
    assert torch.allclose(power[1:] / power[-1], torch.ones(4), rtol=0.05)
    assert power[0] / power[-1] == pytest.approx(0.93, abs=0.1)  # the constant, left out, leaks into its neighbours


def test_the_power_of_an_image_is_that_of_its_contrast_not_of_its_brightness() -> None:
    images = noise(3)
    assert torch.allclose(spectrum(2 * images + 0.3), 4 * spectrum(images), rtol=1e-3)
    assert torch.allclose(spectrum(images)[1], spectrum(images[1:2])[0], rtol=1e-5)


def test_blurring_takes_the_highest_octaves_most() -> None:
    sharp = noise(1)[0, 0].numpy()
    kept = spectrum(drawing(torch.from_numpy(gaussian(sharp, 1.0)))) / spectrum(drawing(torch.from_numpy(sharp)))
    assert (kept[0].diff() < 0).all()
    assert kept[0, -1] < 0.1


def test_patches_are_at_no_distance_from_themselves_and_their_likes() -> None:
    held_out = patches(0)
    assert patch_distance(held_out, held_out) < 1e-3
    assert patch_distance(held_out[1:], held_out) < 1e-3
    assert patch_distance(patches(1), held_out) > 0.5


def test_patch_distance_is_the_mean_over_patches_of_the_nearest() -> None:
    images, held_out = patches(1), patches(0)
    expected = torch.cdist(images.reshape(-1, 16), held_out.reshape(-1, 16)).amin(1).mean()
    assert patch_distance(images, held_out) == pytest.approx(expected.item(), rel=1e-4)


def test_the_held_out_images_themselves_cover_everything() -> None:
    found = coverage(patches(0), patches(1), patches(0))
    assert found.nearer == pytest.approx(1)
    assert found.closed == pytest.approx(1, abs=1e-3)


def test_the_references_again_or_nothing_cover_no_more() -> None:
    for extra in (patches(1), torch.empty(0, 4, 4, 16)):
        found = coverage(patches(0), patches(1), extra)
        assert (found.nearer, found.closed) == (0, 0)


def test_coverage_counts_what_came_nearer_and_by_how_much() -> None:
    held_out = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, -2.0]]).view(4, 1, 1, 2)
    found = coverage(held_out, torch.zeros(1, 1, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2))
    assert found.nearer == pytest.approx(0.5)
    assert found.closed == pytest.approx(0.25)


def test_real_normals_measure_as_themselves_and_blurred_ones_as_blurred() -> None:
    real = noise(3)
    blurred = torch.from_numpy(gaussian(real.numpy(), (0, 0, 1, 1)))
    found = measure({"blurred": blurred}, real, blurred, real, CnnFeatures())
    plain, soft = found["augmented"], found["blurred"]
    assert (plain.sharpness, plain.seam, plain.octaves) == (1, 1, (1,) * 5)
    assert plain.patch_distance is not None
    assert soft.patch_distance is not None
    assert plain.patch_distance < 1e-3 < 0.1 < soft.patch_distance
    assert plain.closed is not None
    assert plain.closed > 0.99
    assert (soft.nearer, soft.closed) == (0, 0)
    assert soft.sharpness == pytest.approx((sharpness(blurred).mean() / sharpness(real).mean()).item())


def test_a_single_copy_is_seen_and_sets_are_cut_to_one_size() -> None:
    augmented = noise(3)
    sets = {"copies": torch.cat([augmented.mT[:1], augmented[[2]]]), "turned": augmented.mT}
    found = measure(sets, augmented, noise(4)[3:], None, CnnFeatures())
    assert {each.images for each in found.values()} == {2}
    assert apart(found["copies"]) > 0.1
    found = measure(sets, augmented[[2, 1, 0]], noise(4)[3:], None, CnnFeatures())
    assert apart(found["copies"]) < 1e-3
    assert min(apart(found["turned"]), apart(found["augmented"])) > 0.1


def apart(found: Measures) -> float:
    assert found.copy_distance is not None
    return found.copy_distance


def test_a_measure_that_cannot_be_taken_is_none_with_its_reason_and_json_is_json() -> None:
    flat = torch.full((2, 3, 64, 64), 0.5)
    found = measure({"drawn": noise(2)}, noise(2), flat[:1], flat, CnnFeatures())["drawn"]
    assert (found.sharpness, set(found.octaves)) == (None, {None})
    assert found.reasons.keys() >= {"sharpness", "octaves"}
    assert json.loads(json_bytes(asdict(found)))["sharpness"] is None
    held = measure({}, noise(2), noise(1), None, CnnFeatures())["augmented"]
    assert held.reasons.keys() == {"patch_distance", "nearer", "closed"}


def test_without_held_out_photos_what_needs_them_is_left_out() -> None:
    found = measure({}, noise(2), noise(1), None, CnnFeatures())["augmented"]
    assert (found.patch_distance, found.nearer, found.closed) == (None, None, None)
    assert found.sharpness is not None
    assert found.sharpness > 0
