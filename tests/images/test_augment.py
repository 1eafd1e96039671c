import math
from collections import Counter
from typing import get_args

import pytest
import torch
from torch import Tensor

from normalgen.errors import PresetError
from normalgen.images.augment import augment, augment_each, cut_each
from normalgen.images.turning import Turnable, turnable
from normalgen.io.rng import generator
from normalgen.settings.presets import Augment

SIZE = 48
KINDS = [kind for kind in get_args(Augment) if kind != "auto"]


def draws(count: int) -> list[torch.Generator]:
    return [generator("test", i) for i in range(count)]


def ready(image: Tensor) -> Turnable:
    return turnable((image * 255).round().to(torch.uint8))


def picture() -> Tensor:
    """A letter F, coloured: no turn and no mirror image of it is like it."""
    image = torch.full((3, SIZE, SIZE), 0.2)
    image[:, 8:40, 12:18] = 0.8
    image[0, 8:14, 18:36] = 0.8
    image[1, 22:27, 18:28] = 0.6
    return image


LETTER = ready(picture())


def views(image: Tensor) -> dict[str, Tensor]:
    """The eight ways to lay a square picture on a square."""
    turned = {f"turned {90 * i}": image.rot90(i, (1, 2)) for i in range(4)}
    return turned | {f"mirrored, {name}": view.flip(2) for name, view in turned.items()}


def seen(kind: Augment, count: int = 160) -> Counter[str]:
    """How often the augmented picture looks most like which view."""
    there = views(picture())
    made = [augment(LETTER, kind, draw) for draw in draws(count)]
    return Counter(min(there, key=lambda name: float((there[name] - view).abs().mean())) for view in made)


def spots(reach: float, middle: tuple[float, float] = (0, 0)) -> Turnable:
    """A red spot to the right of a point, a green one to its left, and a blue one above, `reach` pixels away."""
    at = torch.arange(SIZE) - (SIZE - 1) / 2
    x, y = at[None, :] - middle[0], at[:, None] - middle[1]
    ends = ((reach, 0), (-reach, 0), (0, -reach))
    return ready(torch.stack([torch.exp(-((x - right) ** 2 + (y - down) ** 2) / 8) for right, down in ends]))


def centre(channel: Tensor) -> tuple[float, float]:
    at, channel = torch.arange(SIZE) - (SIZE - 1) / 2, channel - channel.median()
    return float((channel.sum(0) * at).sum() / channel.sum()), float((channel.sum(1) * at).sum() / channel.sum())


def arms(views: list[Tensor], reach: float) -> list[tuple[float, float]]:
    """The angle in degrees and the scale of each view of `spots(reach)`."""
    ends = [(centre(view[0]), centre(view[1])) for view in views]
    steps = [(right[0] - left[0], right[1] - left[1]) for right, left in ends]
    return [(math.degrees(math.atan2(y, x)), math.hypot(x, y) / (2 * reach)) for x, y in steps]


def test_none_changes_nothing() -> None:
    assert torch.equal(augment(LETTER, "none", generator("any")), LETTER.photo.float() / 255)


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
    views = [augment(spots(12), "turned", draw) for draw in draws(200)]
    angles, _ = zip(*arms(views, 12), strict=True)
    assert torch.tensor(angles).histc(8, -180, 180).min() > 8
    for (x, y), (left, low), (u, v) in (map(centre, view) for view in views):
        assert (x - left) * (v - low) - (y - low) * (u - left) < -150


def test_auto_must_be_settled_first() -> None:
    with pytest.raises(PresetError, match="settled"):
        augment(LETTER, "auto", generator("any"))


def test_safe_turns_and_scales_both_ways_to_their_limits() -> None:
    angles, scales = zip(*arms([augment(spots(12), "safe", draw) for draw in draws(200)], 12), strict=True)
    assert (min(angles), max(angles)) == pytest.approx((-5, 5), abs=0.6)
    assert (min(scales), max(scales)) == pytest.approx((0.95, 1.05), abs=0.012)


def test_a_part_stays_where_it_is_unless_it_would_leave_the_frame() -> None:
    for draw in draws(20):
        view = augment(spots(9, (3, 1)), "turned", draw)
        sides = torch.tensor([centre(view[0]), centre(view[1])])
        top = torch.tensor(centre(view[2]))
        assert (sides.mean(0) + (top - sides.mean(0)) / 2).tolist() == pytest.approx((3, -3.5), abs=0.4)


def test_light_changes_by_at_most_5_percent_and_opens_no_dark_corner() -> None:
    flat = torch.full((3, SIZE, SIZE), 0.4)
    made = torch.stack([augment(ready(flat), "safe", draw) for draw in draws(200)])
    levels = made.mean((1, 2, 3)) / 0.4
    assert made.std((1, 2, 3)).max() < 1e-4
    assert (levels.min().item(), levels.max().item()) == pytest.approx((0.95, 1.05), abs=0.003)


def test_contrast_changes_by_at_most_5_percent() -> None:
    halves = torch.full((3, SIZE, SIZE), 0.2)
    halves[:, SIZE // 2 :] = 0.4
    made = torch.stack([augment(ready(halves), "safe", draw) for draw in draws(200)])
    low, high = made[:, 0, 4, SIZE // 2], made[:, 0, -5, SIZE // 2]
    ratios = (high - low) / (high + low) / (0.2 / 0.6)  # free of brightness
    assert (ratios.min().item(), ratios.max().item()) == pytest.approx((0.95, 1.05), abs=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_values_stay_in_range_even_at_hard_edges(kind: Augment) -> None:
    noise = torch.rand(3, SIZE, SIZE, generator=generator("noise")).round()
    for draw in draws(20):
        made = augment(ready(noise), kind, draw)
        assert made.shape == noise.shape
        assert made.dtype == torch.float32
        assert 0 <= made.min() <= made.max() <= 1


@pytest.mark.parametrize("kind", ["safe", "flips", "rotations", "turned"])
def test_the_generator_alone_decides(kind: Augment) -> None:
    first, again, other = (augment(LETTER, kind, generator("draw", i)) for i in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_of_a_batch_follows_its_own_generator(kind: Augment) -> None:
    batch = [LETTER, ready(1 - picture()), LETTER]
    single = [augment(image, kind, draw) for image, draw in zip(batch, draws(3), strict=True)]
    assert torch.equal(augment_each(batch, kind, draws(3)), torch.stack(single))


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_itself_is_not_written_to(kind: Augment) -> None:
    image = ready(picture())
    augment_each([image], kind, draws(1)).zero_()
    assert torch.equal(image.layers, LETTER.layers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_piece_is_a_square_cut_from_the_augmented_image(kind: Augment) -> None:
    for i in range(8):
        whole, piece = (augment(LETTER, kind, generator("piece", i), width) for width in (0, 16))
        windows = whole.unfold(1, 16, 1).unfold(2, 16, 1)
        assert piece.shape == (3, 16, 16)
        assert (windows - piece[:, None, None]).abs().amax((0, 3, 4)).min() < 1e-5


def test_pieces_lie_anywhere_in_the_image_and_none_is_larger_than_it() -> None:
    ramp = torch.linspace(0, 1, SIZE).expand(100, 3, SIZE, SIZE)
    pieces = cut_each(ramp, draws(100), 40)
    assert {int((piece[0, 0, 0] * (SIZE - 1)).round()) for piece in pieces} == set(range(9))
    assert torch.equal(cut_each(ramp, draws(100), 64), ramp)
