"""Turned photos stay whole: nothing of the object is seen twice or cut, whatever the photo shows."""

import math

import pytest
import torch
from skimage.measure import label
from torch import Tensor

from normalgen.images.augment import Border, augment, augment_each, rotations, turn
from normalgen.images.turning import STEPS, Turnable, object_of, turnable
from normalgen.io.rng import generator
from normalgen.settings.presets import Augment

SIZE = 96
X, Y = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="xy")
GRAIN = 0.01 * torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def painted(where: Tensor, ground: Tensor | float = 0.7, aspect: float = 1.0) -> Turnable:
    """A dark object before a grained ground."""
    image = torch.where(where, torch.tensor(0.2), ground + GRAIN)
    return turnable((image.clamp(0, 1) * 255).round().to(torch.uint8), aspect)


def bar(x: float, y: float, angle: float, length: float = 0.8, width: float = 0.1) -> Tensor:
    cos, sin = math.cos(angle), math.sin(angle)
    along, across = cos * (X - x) + sin * (Y - y), cos * (Y - y) - sin * (X - x)
    return (along.abs() < length) & (across.abs() < width)


def views(photo: Turnable, kind: Augment, count: int = 60) -> Tensor:
    return augment_each([photo] * count, kind, [generator("view", i) for i in range(count)])


OBJECTS = {
    "in the middle": bar(0, 0, 0.3),
    "near the border": bar(-0.1, 0.75, 0.05),
    "in a corner": bar(0.6, -0.6, 0.8, 0.35),
    "of two pieces": bar(-0.3, 0, 1.2, 0.6) | bar(0.5, 0.1, 1.2, 0.5),
    "as long as the frame": bar(0, 0, math.pi / 4, 1.2, 0.08),
}


@pytest.mark.parametrize("kind", ["safe", "flips", "rotations", "turned"])
@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_seen_once_and_whole(name: str, kind: Augment) -> None:
    photo = painted(OBJECTS[name])
    assert photo.is_alone
    dark = (photo.photo[0] < 115).float()
    pieces = label(dark.numpy()).max()
    for view in views(photo, kind):
        seen = (view[0] < 0.45).float()
        assert label(seen.numpy()).max() == pieces
        assert 0.93**2 < float(seen.mean() / dark.mean()) < 1.07**2
        assert seen[0].sum() + seen[-1].sum() + seen[:, 0].sum() + seen[:, -1].sum() < SIZE // 8


def test_the_background_leads_on_with_its_shade_and_grain() -> None:
    photo = painted(bar(0, 0, 0.3), 0.6 + 0.1 * X)
    corners = torch.stack([view[:, :12, -12:] for view in views(photo, "turned")])
    assert corners.mean((1, 2, 3)).min() > 0.47
    assert corners.mean((1, 2, 3)).max() < 0.8
    assert corners.std((2, 3)).min() > 0.004


def test_a_soft_shadow_may_reach_the_border() -> None:
    shade = 0.7 - 0.12 * torch.exp(-((X - 0.9) ** 2 + Y**2) / 0.1)
    assert painted(bar(0.4, 0, 0.0, 0.5), shade).is_alone


@pytest.mark.parametrize(
    "photo",
    [
        painted(bar(0.5, 0, 0.1)),
        painted((X * 20).sin() > 0),
        painted(torch.zeros(SIZE, SIZE, dtype=torch.bool)),
        painted((X.abs() > 0.97) | (Y.abs() > 0.9) | (Y.abs() < 0.05)),
    ],
    ids=["cut by the photo", "stripes", "plain", "framed like a solar cell"],
)
def test_what_reaches_the_border_is_seen_in_real_pixels_alone(photo: Turnable) -> None:
    assert not photo.is_alone
    for i in range(60):
        step, scale = (i * 24, float(photo.least[i * 24]))
        assert photo.grid(step, scale).abs().max() <= 1
    turned = [photo.least[i] <= 1.05 for i in range(STEPS)]
    assert turned[:12] == [True] * 12
    assert not any(turned[30:330])


@pytest.mark.parametrize("kind", ["safe", "flips", "rotations", "turned"])
def test_views_of_a_surface_are_pieces_of_it(kind: Augment) -> None:
    """On a slope, mirrored pixels would bend it."""
    photo = turnable((torch.stack([0.2 + 0.5 * X.abs(), 0.5 + 0.2 * X, 0.5 + 0.2 * Y]) * 255).to(torch.uint8))
    assert not photo.is_alone
    terms = torch.stack([torch.ones_like(X), X, Y], -1).flatten(0, 1)
    for view in views(photo, kind, 20):
        slope = view[1:].flatten(1).T
        found = torch.linalg.lstsq(terms, slope).solution
        assert (terms @ found - slope).abs().max() < 0.01


def test_a_photo_that_is_not_square_turns_in_its_own_proportions() -> None:
    """A round part in a photo of 2 : 1 stays round, however it is turned."""
    photo = painted((2 * X) ** 2 + Y**2 < 0.5**2, aspect=2.0)
    for view in views(photo, "turned", 20):
        seen = view[0] < 0.45
        wide, high = seen.any(0).sum(), seen.any(1).sum()
        assert float(high / wide) == pytest.approx(2, rel=0.09)


def test_a_surface_that_is_not_square_is_never_on_its_side() -> None:
    photo = painted((X * 20).sin() > 0, aspect=1.5)
    assert photo.least[STEPS // 2] == pytest.approx(1)
    assert photo.least[STEPS // 4] == pytest.approx(1.5)


def test_an_image_of_any_aspect_at_rest_is_the_photo_itself() -> None:
    photo = painted(bar(0.2, 0.1, 0.3), aspect=1.7)
    torch.testing.assert_close(photo.sample(photo.grid(0, 1.0)), photo.photo.float() / 255, rtol=0, atol=1e-4)


def test_rotations_are_evenly_spread_and_whole() -> None:
    photo, surface = painted(bar(0.3, 0, 0.0, 0.6)), painted((X * 20).sin() > 0)
    made = rotations([photo], 8)
    assert all(label((view[0] < 0.45).numpy()).max() == 1 for view in made)
    at = [(view[0] < 0.45).nonzero().float().T for view in made[:4]]
    angles = [math.degrees(0.5 * math.atan2(*_moments(*rows))) % 180 for rows in at]
    assert angles == pytest.approx([0, 135, 90, 45], abs=3) or angles == pytest.approx([0, 45, 90, 135], abs=3)
    torch.testing.assert_close(rotations([surface], 4)[2], (surface.photo.flip(1, 2) / 255.0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("border", ["whole", "mirrored", "black"])
def test_half_a_turn_shows_the_photo_upside_down_with_any_border(border: Border) -> None:
    surface = painted((X * 20).sin() > 0)
    upside_down = surface.photo.flip(1, 2) / 255
    torch.testing.assert_close(turn(surface, STEPS // 2, border), upside_down, rtol=0, atol=1e-4)


def test_beyond_a_photo_is_nothing_or_its_mirror_image_or_black() -> None:
    bright = painted((X * 20).sin() > 2)
    black, mirrored = (turn(bright, STEPS // 8, border) for border in ("black", "mirrored"))
    assert not bright.is_alone
    assert black[:, 0, 0].max() == 0
    assert float((black.amax(0) == 0).float().mean()) == pytest.approx(1 - 2 * (2**0.5 - 1), abs=0.01)
    assert mirrored.min() > 0.5
    assert torch.equal(black[black > 0], mirrored[black > 0])


def _moments(y: Tensor, x: Tensor) -> tuple[float, float]:
    y, x = y - y.mean(), x - x.mean()
    return float(2 * (x * y).mean()), float((x * x - y * y).mean())


def test_the_same_photo_is_always_turned_alike_by_any_number_of_threads() -> None:
    image, before = painted(bar(-0.1, 0.5, 0.4)), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        again = turnable(image.photo)
        view = augment(again, "turned", generator("one"))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(again.layers, image.layers)
    assert torch.equal(augment(image, "turned", generator("one")), view)


def test_an_object_is_found_whatever_its_colour_and_the_light() -> None:
    ground = 0.5 + 0.15 * X - 0.1 * Y + 0.1 * X * Y
    image = torch.stack([ground, ground, torch.where(bar(0, 0, 0.3), ground + 0.3, ground)])
    found = object_of((image * 255).to(torch.uint8))
    assert found.is_alone
    assert found.at_border == 0
    assert float((found.mask ^ bar(0, 0, 0.3)).double().mean()) < 0.03
