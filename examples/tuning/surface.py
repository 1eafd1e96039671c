"""A surface in front of an inspection camera, and its photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scene import Array, Rng, noise
from scipy import ndimage

SIDE = 256
PIXEL = 2.0 / SIDE
Y, X = np.mgrid[0:SIDE, 0:SIDE] * PIXEL - 1 + PIXEL / 2


@dataclass(frozen=True)
class Flaw:
    """A defect to draw: its kind, how large and clear it is (0 to 1), and its own generator."""

    kind: str
    amount: float
    rng: Rng


@dataclass
class Surface:
    """What the camera looks at; lengths are halves of the image's side.

    Attributes:
        albedo: colours (SIDE, SIDE, 3) in [0, 1].
        height: (SIDE, SIDE).
        gloss: (SIDE, SIDE).
        inside: where flaws may start (SIDE, SIDE), bool.
        texture: name of scikit-image's texture that it was cut from, if it was.
    """

    albedo: Array
    height: Array
    gloss: Array
    inside: NDArray[np.bool_]
    texture: str = ""

    def put(
        self, field: Array, tone: Array | float, *, bevel: float = 0.04, lift: float = 0.0, gloss: float = 0.2
    ) -> None:
        """Put a shape, given as a signed distance field, on the surface; `lift` above 0 throws a soft shadow."""
        near = field < 0.12
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if not len(rows):
            return
        w = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        field, tone = field[w], np.broadcast_to(tone, self.albedo.shape)[w]
        part, depth = np.clip(0.5 - field / PIXEL, 0, 1), np.clip(-field / bevel, 0, 1)
        if lift > 0:
            soft = ndimage.gaussian_filter(np.roll(part, (4, 3), (0, 1)), 3, truncate=2.5)
            self.albedo[w] *= (1 - 0.4 * soft * (1 - part))[..., None]
        self.height[w] += part * (lift + bevel * np.sqrt(1 - (1 - depth) ** 2) - self.height[w])
        self.gloss[w] += part * (gloss - self.gloss[w])
        self.albedo[w] += part[..., None] * (tone - self.albedo[w])


def plain(tone: Array, m: Rng, *, power: float = 1.0, rough: float = 0.05, gloss: float = 0.1) -> Surface:
    """Return a flat surface of one tone (3,) with cloudy grain."""
    albedo = np.clip(tone * (1 + rough * noise(m, power, side=SIDE))[..., None], 0, 1)
    return Surface(albedo, np.zeros((SIDE, SIDE)), np.full((SIDE, SIDE), gloss), np.ones((SIDE, SIDE), bool))


def pose(m: Rng, *, turn: float, shift: float = 0.04, zoom: float = 0.02) -> tuple[Array, Array]:
    """Return the coordinates of a part that lies turned (deviation in degrees), shifted, and nearer or farther."""
    angle, (down, across), scale = np.deg2rad(m.normal(0, turn)), m.normal(0, shift, 2), m.normal(1, zoom)
    x, y = (X - across) * scale, (Y - down) * scale
    return np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y


def batch(m: Rng, tone: tuple[float, float, float], spread: float = 0.04) -> Array:
    """Return the tone (3,) of one of five batches of material."""
    g = np.random.default_rng([int(m.integers(5)), int(1000 * tone[0])])
    return np.clip(np.array(tone) + g.normal(0, spread) + g.normal(0, spread / 2, 3) + m.normal(0, spread / 3), 0.02, 1)


def handle(s: Surface, m: Rng, marks: float = 1.0) -> None:
    """Add the dust and the faint marks of handling that good parts have too."""
    lines = noise(m, 0.7, 0.06, 8, SIDE) if m.random() < 0.5 else noise(m, 0.7, 16, 8, SIDE)
    worn = np.clip(noise(m, 1.6, side=SIDE) - 1.2, 0, 1)
    s.albedo = np.clip(s.albedo + (0.04 * marks * worn * lines)[..., None], 0.02, 1)
    for _ in range(m.poisson(2.5 * marks)):
        x, y = m.uniform(-1, 1, 2)
        speck = np.clip(0.8 - (np.hypot(X - x, Y - y) - m.uniform(0.002, 0.009)) / PIXEL, 0, 1) * m.uniform(0.2, 0.7)
        s.albedo += speck[..., None] * (m.choice([0.12, 0.85]) - s.albedo)


def photograph(s: Surface, m: Rng, *, azimuth: float = 2.2, swing: float = 0.25) -> NDArray[np.uint8]:
    """Return the photo (SIDE, SIDE, 3): light from about `azimuth` (radians), exposure, focus and camera noise vary."""
    side, tilt = m.normal(azimuth, swing), m.normal(0.8, 0.06)
    light = np.array([np.cos(side) * np.cos(tilt), np.sin(side) * np.cos(tilt), np.sin(tilt)])
    dy, dx = np.gradient(ndimage.gaussian_filter(s.height, 0.6) / PIXEL)
    size = np.sqrt(dx**2 + dy**2 + 1)
    diffuse = np.maximum(light[2] - dx * light[0] - dy * light[1], 0) / size / light[2]
    half = light + np.array([0, 0, 1])
    half /= np.linalg.norm(half)
    shine = np.maximum((half[2] - dx * half[0] - dy * half[1]) / size, 0) ** 30
    image = s.albedo * (0.4 + 0.6 * diffuse)[..., None] + (0.25 * s.gloss * shine)[..., None]
    slope, exposure, colour = m.normal(0, 0.08, 2), m.normal(1, 0.06), m.normal(1, 0.012, 3)
    image = image * (exposure + slope[0] * X + slope[1] * Y)[..., None] * colour
    image = ndimage.gaussian_filter(image, (m.uniform(0.4, 0.9),) * 2 + (0,))
    image += m.normal(0, m.uniform(0.006, 0.018), (SIDE, SIDE, 1)) + m.normal(0, 0.004, image.shape)
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5, dtype=np.uint8)
