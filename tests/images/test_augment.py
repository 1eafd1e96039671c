import math
from collections import Counter
from typing import get_args

import pytest
import torch
from torch import Tensor

from normalgen.errors import PresetError
from normalgen.images.augment import augment, augment_each
from normalgen.io.rng import generator
from normalgen.settings.presets import Augment

SIZE = 48
KINDS = [kind for kind in get_args(Augment) if kind != "auto"]


def draws(count: int) -> list[torch.Generator]:
    return [generator("test", i) for i in range(count)]


def picture() -> Tensor:
    """A letter F, coloured: no turn and no mirror image of it is like it."""
    image = torch.full((3, SIZE, SIZE), 0.2)
    image[:, 8:40, 12:18] = 0.8
    image[0, 8:14, 18:36] = 0.7
    image[1, 22:27, 18:28] = 0.6
    return image


def views(image: Tensor) -> dict[str, Tensor]:
    """The eight ways to lay a square picture on a square."""
    turned = {f"turned {90 * i}": image.rot90(i, (1, 2)) for i in range(4)}
    return turned | {f"mirrored, {name}": view.flip(2) for name, view in turned.items()}


def seen(kind: Augment, count: int = 160) -> Counter[str]:
    """How often the augmented picture looks most like which view."""
    there = views(picture())
    made = [augment(picture(), kind, draw) for draw in draws(count)]
    return Counter(min(there, key=lambda name: float((there[name] - each).abs().mean())) for each in made)


def blob(x: float, y: float) -> Tensor:
    """A soft spot at (x, y) from the middle, in pixels."""
    at = torch.arange(SIZE) - (SIZE - 1) / 2
    return torch.exp(-((at[None, :] - x) ** 2 + (at[:, None] - y) ** 2) / 8).expand(3, SIZE, SIZE)


def centre(image: Tensor) -> tuple[float, float]:
    weight = image[0] - image[0].median()
    at = torch.arange(SIZE) - (SIZE - 1) / 2
    return float((weight.sum(0) * at).sum() / weight.sum()), float((weight.sum(1) * at).sum() / weight.sum())


def test_none_changes_nothing() -> None:
    assert torch.equal(augment(picture(), "none", generator("any")), picture())


def test_safe_never_mirrors_and_never_turns_far() -> None:
    assert seen("safe") == {"turned 0": 160}


def test_flips_mirrors_each_axis_half_of_the_time() -> None:
    counts = seen("flips")
    assert set(counts) == {"turned 0", "turned 180", "mirrored, turned 0", "mirrored, turned 180"}
    assert all(abs(count - 40) < 28 for count in counts.values())  # 5 standard deviations


def test_rotations_turns_by_every_quarter_and_never_mirrors() -> None:
    counts = seen("rotations")
    assert set(counts) == {"turned 0", "turned 90", "turned 180", "turned 270"}
    assert all(abs(count - 40) < 28 for count in counts.values())


def test_turned_turns_by_any_angle_and_never_mirrors() -> None:
    right, above = ([centre(augment(at, "turned", draw)) for draw in draws(200)] for at in (blob(15, 0), blob(0, -15)))
    angles = torch.tensor([math.degrees(math.atan2(y, x)) for x, y in right])
    assert angles.histc(8, -180, 180).min() > 8
    assert all(x * v - y * u < -150 for (x, y), (u, v) in zip(right, above, strict=True))


def test_auto_must_be_settled_first() -> None:
    with pytest.raises(PresetError, match="settled"):
        augment(picture(), "auto", generator("any"))


def test_safe_moves_a_point_no_further_than_5_degrees_and_5_percent() -> None:
    radius, bound = 15.0, 15.0 * math.sqrt(1 + 1.05**2 - 2 * 1.05 * math.cos(math.radians(5)))
    moved = [math.dist(centre(augment(blob(radius, 0), "safe", draw)), (radius, 0)) for draw in draws(100)]
    assert max(moved) < bound + 0.15
    assert max(moved) > bound / 2


def test_safe_leaves_the_middle_in_the_middle() -> None:
    for draw in draws(20):
        assert centre(augment(blob(0, 0), "safe", draw)) == pytest.approx((0, 0), abs=0.05)


def test_safe_turns_and_scales_both_ways_to_their_limits() -> None:
    at = [centre(augment(blob(15, 0), "safe", draw)) for draw in draws(200)]
    angles = [math.degrees(math.atan2(y, x)) for x, y in at]
    scales = [math.hypot(x, y) / 15 for x, y in at]
    assert (min(angles), max(angles)) == pytest.approx((-5, 5), abs=0.6)
    assert (min(scales), max(scales)) == pytest.approx((0.95, 1.05), abs=0.012)


def test_light_changes_by_at_most_5_percent_and_opens_no_dark_corner() -> None:
    flat = torch.full((3, SIZE, SIZE), 0.5)
    made = torch.stack([augment(flat, "safe", draw) for draw in draws(200)])
    levels = made.mean((1, 2, 3)) / 0.5
    assert made.std((1, 2, 3)).max() < 1e-4
    assert (levels.min().item(), levels.max().item()) == pytest.approx((0.95, 1.05), abs=0.003)


def test_contrast_changes_by_at_most_5_percent() -> None:
    halves = torch.full((3, SIZE, SIZE), 0.3)
    halves[:, SIZE // 2 :] = 0.6
    made = torch.stack([augment(halves, "safe", draw) for draw in draws(200)])
    low, high = made[:, 0, 4, SIZE // 2], made[:, 0, -5, SIZE // 2]
    ratios = (high - low) / (high + low) / (0.3 / 0.9)  # free of brightness
    assert (ratios.min().item(), ratios.max().item()) == pytest.approx((0.95, 1.05), abs=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_values_stay_in_range_even_at_hard_edges(kind: Augment) -> None:
    noise = torch.rand(3, SIZE, SIZE, generator=generator("noise")).round()
    for draw in draws(20):
        made = augment(noise, kind, draw)
        assert made.shape == noise.shape
        assert made.dtype == torch.float32
        assert 0 <= made.min() <= made.max() <= 1


@pytest.mark.parametrize("kind", ["safe", "flips", "rotations", "turned"])
def test_the_generator_alone_decides(kind: Augment) -> None:
    first, again, other = (augment(picture(), kind, generator("draw", i)) for i in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_of_a_batch_follows_its_own_generator(kind: Augment) -> None:
    batch = torch.stack([picture(), 1 - picture(), picture()])
    single = [augment(image, kind, draw) for image, draw in zip(batch, draws(3), strict=True)]
    assert torch.equal(augment_each(batch, kind, draws(3)), torch.stack(single))


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_itself_is_not_written_to(kind: Augment) -> None:
    image = picture()
    augment_each(image[None], kind, draws(1)).zero_()
    assert torch.equal(image, picture())


@pytest.mark.parametrize("kind", KINDS)
def test_a_piece_is_a_square_cut_from_the_augmented_image(kind: Augment) -> None:
    for i in range(8):
        whole, piece = (augment(picture(), kind, generator("piece", i), width) for width in (0, 16))
        windows = whole.unfold(1, 16, 1).unfold(2, 16, 1)
        assert piece.shape == (3, 16, 16)
        assert (windows - piece[:, None, None]).abs().amax((0, 3, 4)).min() < 1e-5


def test_pieces_lie_anywhere_in_the_image_and_none_is_larger_than_it() -> None:
    ramp = torch.linspace(0, 1, SIZE).expand(3, SIZE, SIZE)
    places = {int((augment(ramp, "none", draw, 40)[0, 0, 0] * (SIZE - 1)).round()) for draw in draws(100)}
    assert places == set(range(9))
    assert torch.equal(augment(picture(), "none", generator("any"), 64), picture())
