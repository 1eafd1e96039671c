"""Photos that can be turned so that no part of the object is seen twice or cut.

One rule, read from each photo. If its border is background, the object turns about its own middle, stays inside the
frame, and the background continues without it. If the surface reaches the border, as a texture or a solar cell does,
a view shows only pixels that are real: it is cut from inside the photo, so only small or quarter turns are possible.
A photo turns in its own proportions, and its views are squashed like the photo itself.
"""

import math
from dataclasses import dataclass

import torch
from skimage.measure import label
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, max_pool2d

from normalgen.images.images import Images

__all__ = ["BORDER", "STEPS", "Object", "Turnable", "object_of", "turnable", "turnables"]

STEPS = 1440
"""Steps of a full turn; all angles are whole steps."""
LEAST, NOISE, CONTRAST, SHADOW = 0.06, 6.0, 0.25, 0.4
"""A pixel belongs to the object or its shadow if it differs from the background by `LEAST`, by `NOISE` times what the
border does at its median, and by `CONTRAST` times what the object does. Below `SHADOW` times, it may be a shadow."""
BORDER, SMALLEST, SPECK = 0.005, 0.005, 0.02
"""The border is background if at most the share `BORDER` of it belongs to the object; the object covers at least the
share `SMALLEST` of the photo, and its parts at least the share `SPECK` of the largest."""


@dataclass(frozen=True)
class Turnable:
    """A photo, and how it may be turned.

    Positions are (x, y) in the photo's proportions: x from -aspect to aspect, y from -1 to 1.

    Attributes:
        layers: the photo, uint8 (3, S, S); if its border is background also the background alone, (6, S, S).
        aspect: width of the photo over its height, before it was squashed.
        mean: brightness of the photo, in [0, 1].
        middle: of the object; of the photo if the surface reaches the border.
        box: from the middle to the sides of the turned object, (STEPS, 4): left, right, top, bottom.
        least: the smallest scale at which a turned view is whole, (STEPS,).
        most: the largest one, (STEPS,).
    """

    layers: Tensor
    aspect: float
    mean: float
    middle: tuple[float, float]
    box: Tensor
    least: Tensor
    most: Tensor

    @property
    def photo(self) -> Tensor:
        """The photo, uint8 (3, S, S)."""
        return self.layers[:3]

    @property
    def is_alone(self) -> bool:
        """Whether the photo's border is background."""
        return len(self.layers) > 3

    def grid(self, step: int, scale: float) -> Tensor:
        """Return the source position of each pixel of a view, (S, S, 2) from -1 to 1, for `grid_sample`.

        The object turns by `step` about its middle, changes by `scale`, and moves only as far as the frame demands.
        """
        left, right, top, bottom = (scale * self.box[step % STEPS]).tolist()
        x, y = self.middle
        to_x, to_y = _inside(x, left, right, self.aspect), _inside(y, top, bottom, 1.0)
        cos, sin = (f(2 * math.pi * step / STEPS) / scale for f in (math.cos, math.sin))
        down, across = torch.meshgrid(*_centres(self.layers.shape[-1], self.aspect), indexing="ij")
        across, down = across - to_x, down - to_y
        return torch.stack([(x + cos * across - sin * down) / self.aspect, y + sin * across + cos * down], -1)

    def sample(self, grid: Tensor) -> Tensor:
        """Return what is seen at a part (H, W, 2) of a `grid`, (3, H, W) in [0, 1]."""
        seen = grid_sample(
            self.layers[None].float() / 255, grid[None], mode="bicubic", padding_mode="reflection", align_corners=False
        )[0].clamp(0, 1)
        return torch.where((grid.abs() <= 1).all(-1), seen[:3], seen[-3:])


def turnables(images: Images, size: int) -> list[Turnable]:
    """Return all images, squashed to `size`. For references, not queries."""
    return [turnable(photo.pixels, photo.width / photo.height) for photos in images.photos(size) for photo in photos]


def turnable(photo: Tensor, aspect: float = 1.0) -> Turnable:
    """Return a photo, uint8 (3, S, S), with what it takes to turn it; `aspect` is its width over its height."""
    mean = float(photo.double().mean() / 255)
    angle = torch.arange(STEPS, dtype=torch.float64) * (2 * math.pi / STEPS)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    found = object_of(photo)
    if not found.is_alone:
        width, height = aspect * cos.abs() + sin.abs(), aspect * sin.abs() + cos.abs()
        least = torch.maximum(width / aspect, height).squeeze(1)
        still = torch.zeros(STEPS, 4, dtype=torch.float64)
        return Turnable(photo, aspect, mean, (0.0, 0.0), still, least, torch.full_like(least, math.inf))
    x, y = _outline(found.mask, aspect)
    middle = float(x.min() + x.max()) / 2, float(y.min() + y.max()) / 2
    x, y = x - middle[0], y - middle[1]
    across, down = cos * x + sin * y, cos * y - sin * x
    box = torch.stack([across.amin(1), across.amax(1), down.amin(1), down.amax(1)], 1)
    most = torch.minimum(2 * aspect / (box[:, 1] - box[:, 0]), 2 / (box[:, 3] - box[:, 2]))
    layers = torch.cat([photo, _background(photo, found.mask)])
    return Turnable(layers, aspect, mean, middle, box, torch.zeros_like(most), most)


@dataclass(frozen=True)
class Object:
    """Where the object of a photo is.

    Attributes:
        mask: of the object and its shadow, bool (S, S).
        at_border: the share of the photo's border that the object, without its shadow, takes up.
        is_alone: whether the photo shows an object in front of a calm background that is all of its border.
    """

    mask: Tensor
    at_border: float
    is_alone: bool


def object_of(photo: Tensor) -> Object:
    """Return what stands out against the background of a photo, uint8 (3, S, S).

    The background is a surface of second degree through the border, fitted so that what stands out there counts little.
    """
    size = photo.shape[-1]
    values = photo.double() / 255
    far = avg_pool2d((values - _fitted(values)).abs().amax(0, keepdim=True), 3, 1, 1, count_include_pad=False)[0]
    noise = NOISE * float(far[_ring(size, size // 16)].median())
    contrast = float(far.flatten().kthvalue(int((1 - SMALLEST) * far.numel())).values)
    mask, dense = (_without_specks(far > max(LEAST, noise, share * contrast)) for share in (CONTRAST, SHADOW))
    at_border = float(dense[_ring(size, size // 64)].double().mean())
    is_object = noise <= contrast / 2 and float(mask.double().mean()) >= SMALLEST
    return Object(mask, at_border, is_object and at_border <= BORDER)


def _inside(at: float, low: float, high: float, edge: float) -> float:
    """Return the position nearest to `at` from where nothing between `low` and `high` reaches beyond `edge`."""
    return min(max(at, -edge - low), edge - high)


def _centres(size: int, aspect: float) -> tuple[Tensor, Tensor]:
    """Return the positions of the rows and of the columns."""
    at = (torch.arange(size) + 0.5) * 2 / size - 1
    return at, at * aspect


def _ring(size: int, width: int) -> Tensor:
    """Return where the border is, bool (S, S)."""
    ring = torch.ones(size, size, dtype=torch.bool)
    width = max(1, width)
    ring[width:-width, width:-width] = False
    return ring


def _grown(mask: Tensor, by: int) -> Tensor:
    return max_pool2d(mask.float()[None], 2 * by + 1, 1, by)[0] > 0


def _without_specks(mask: Tensor) -> Tensor:
    """Return the mask without parts that are far smaller than its largest one."""
    parts = torch.from_numpy(label(mask.numpy(), connectivity=2))
    sizes = parts.flatten().bincount()
    sizes[0] = 0
    return (sizes >= max(1.0, SPECK * float(sizes.max())))[parts]


def _fitted(values: Tensor) -> Tensor:
    """Return the surface of second degree through the border of (3, S, S)."""
    size = values.shape[-1]
    at = _centres(size, 1.0)[0].double()
    y, x = torch.meshgrid(at, at, indexing="ij")
    terms = torch.stack([torch.ones_like(x), x, y, x * y, x * x, y * y], -1)
    ring = _ring(size, size // 16)
    known, wanted = terms[ring], values[:, ring].T
    weights = torch.ones(len(known), 1, dtype=torch.float64)
    for _ in range(10):  # towards the least absolute difference
        shares: Tensor = torch.linalg.solve((weights * known).T @ known, (weights * known).T @ wanted)
        weights = 1 / (wanted - known @ shares).abs().amax(1, keepdim=True).clamp(min=0.01)
    fitted: Tensor = terms @ shares
    return fitted.permute(2, 0, 1)


def _outline(mask: Tensor, aspect: float) -> tuple[Tensor, Tensor]:
    """Return the outermost positions x and y, (P,), of the object in directions all around."""
    size = len(mask)
    rows = mask.any(1).nonzero()[:, 0]
    first = mask[rows].int().argmax(1)
    last = size - mask[rows].flip(1).int().argmax(1)
    x = torch.cat([first, last]).repeat(2).double() * 2 / size - 1
    y = torch.cat([rows, rows, rows + 1, rows + 1]).double() * 2 / size - 1
    angle = torch.arange(360) * (math.pi / 180)
    outermost = sorted(set((angle.cos()[:, None] * x * aspect + angle.sin()[:, None] * y).argmax(1).tolist()))
    return x[outermost] * aspect, y[outermost]


def _background(photo: Tensor, mask: Tensor) -> Tensor:
    """Return the photo without its object, uint8 (3, S, S): the surroundings lead on, with grain from elsewhere."""
    size = len(mask)
    hole = _grown(mask, size // 32) & ~_ring(size, 2)  # a shadow may reach the border, and fades beyond it
    values = photo.double() / 255
    filled = _led_on(values, ~hole)
    smooth = _smoothed(filled)
    grain, known = torch.where(hole, 0.0, values - smooth), ~hole
    for turn in ((2,), (1,), (1, 2)):
        other, there = grain.flip(turn), known.flip([axis - 1 for axis in turn])
        grain, known = torch.where(known, grain, torch.where(there, other, grain)), known | there
    return torch.where(hole, (smooth + grain) * 255, photo.double()).clamp(0, 255).round().to(torch.uint8)


def _smoothed(values: Tensor) -> Tensor:
    return avg_pool2d(values[None], 9, 1, 4, count_include_pad=False)[0]


def _led_on(values: Tensor, known: Tensor) -> Tensor:
    """Return (3, H, W) with what is not known filled in smoothly: from half the size, and so on."""
    if bool(known.all()):
        return values
    share = avg_pool2d(known.double()[None], 2, ceil_mode=True)
    half = avg_pool2d((values * known)[None], 2, ceil_mode=True)[0] / share.clamp(min=1e-9)
    coarse = _led_on(half, share[0] > 0)
    return torch.where(known, values, interpolate(coarse[None], values.shape[1:], mode="bilinear")[0])
