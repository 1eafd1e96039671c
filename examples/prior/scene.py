"""Supersampled drawing surface: signed distance fields, noise, and a lit scene.

Shapes are signed distance fields. A field gives the antialiased outline and, through a bevel, the height that the light
is computed from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

SIDE, FACTOR = 256, 2
S = SIDE * FACTOR
PIXEL = 2.0 / S
Array = NDArray[np.float64]
Rng = np.random.Generator


# ---------------------------------------------------------------- fields and noise


def circle(x: Array, y: Array, r: float) -> Array:
    return np.hypot(x, y) - r


def box(x: Array, y: Array, w: float, h: float, r: float = 0.0) -> Array:
    """Return the field of a rectangle with half sizes w, h and rounded corners."""
    dx, dy = np.abs(x) - w + r, np.abs(y) - h + r
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - r


def ngon(x: Array, y: Array, r: float, n: int) -> Array:
    """Return the field of a regular polygon with inner radius r."""
    step = 2 * np.pi / n
    angle = np.mod(np.arctan2(y, x) + step / 2, step) - step / 2
    return np.hypot(x, y) * np.cos(angle) - r


def noise(rng: Rng, power: float, stretch: float = 1.0, low: float = 1.0, side: int = S) -> Array:
    """Return periodic noise (side, side), spectrum f^-power, stretched along x; mean 0, deviation 1."""
    fy, fx = np.fft.fftfreq(side)[:, None] * side, np.fft.rfftfreq(side)[None] * side
    f = np.hypot(fx * stretch, fy)
    amplitude = np.where(f < low, 0, np.maximum(f, low) ** -power) * np.exp(-((f / (side * 0.3)) ** 2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) * amplitude, s=(side, side))
    return np.asarray(field / (field.std() + 1e-12))


def cells(rng: Rng, x: Array, y: Array, n: int) -> tuple[Array, Array, NDArray[np.intp]]:
    """Return distances to the nearest and second nearest of about n scattered points, and the nearest's index."""
    side = int(np.ceil(n**0.5))
    v, u = np.mgrid[0:side, 0:side] + rng.uniform(0.1, 0.9, (2, side, side))
    points = np.stack([u.ravel(), v.ravel()], -1) / side * 5.4 - 2.7
    distance, index = cKDTree(points).query(np.stack([x, y], -1), k=2)
    return distance[..., 0], distance[..., 1], index[..., 0]


def colour(g: Rng, low: float = 0.15, high: float = 0.85, vivid: float = 0.12) -> Array:
    """Return a random colour; grey in two fifths of the groups."""
    grey = g.uniform(low, high)
    tint = g.normal(0, vivid, 3) * (g.random() < 0.6)
    return np.asarray(np.clip(grey + tint - tint.mean(), 0.03, 0.97))


def metal(g: Rng) -> Array:
    """Return the colour of steel, brass, copper, or dark oxide."""
    tones = ([0.62, 0.63, 0.65], [0.72, 0.6, 0.33], [0.7, 0.45, 0.33], [0.25, 0.25, 0.27])
    return np.array(tones[g.integers(4)])


# ---------------------------------------------------------------- scene


class Scene:
    """Albedo, height, and gloss maps in the member's coordinates x, y (about -1 to 1)."""

    def __init__(self, g: Rng, m: Rng, *, turn: float = 3.0, material: bool = False) -> None:
        base = g.uniform(0, 2 * np.pi) if g.random() < 0.4 else g.choice([0, 0, np.pi / 2])
        angle = float(base) + np.deg2rad(m.normal(0, turn))
        shift = m.uniform(-1, 1, 2) if material else m.normal(0, 0.03, 2)
        zoom = m.normal(1, 0.015)
        v, u = np.mgrid[0:S, 0:S] * PIXEL - 1 + PIXEL / 2
        u, v = (u - (0 if material else shift[0])) * zoom, (v - (0 if material else shift[1])) * zoom
        self.x: Array = np.cos(angle) * u + np.sin(angle) * v + (shift[0] if material else 0)
        self.y: Array = -np.sin(angle) * u + np.cos(angle) * v + (shift[1] if material else 0)
        self.albedo: Array = np.broadcast_to(colour(g, 0.05, 0.95, 0.1), (S, S, 3)).copy()
        self.height: Array = np.zeros((S, S))
        self.gloss: Array = np.full((S, S), 0.05)
        self.shade: Array = np.ones((S, S))
        self.relief = 1.0

    def put(
        self,
        field: Array,
        tone: Array,
        *,
        bevel: float = 0.05,
        lift: float = 0.0,
        gloss: float = 0.2,
        bump: Array | float = 0.0,
        shadow: float = 0.0,
    ) -> None:
        """Put a shape on the scene."""
        mask = np.clip(0.5 - field / PIXEL, 0, 1)
        if shadow > 0:
            soft = ndimage.gaussian_filter(np.roll(mask, (10, 8), (0, 1)), 9)
            self.shade *= 1 - shadow * soft * (1 - mask)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return
        w = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        part, depth = mask[w], np.clip(-field[w] / bevel, 0, 1)
        top = lift + bevel * np.sqrt(1 - (1 - depth) ** 2) + np.broadcast_to(bump, (S, S))[w]
        self.height[w] += part * (top - self.height[w])
        self.gloss[w] += part * (gloss - self.gloss[w])
        self.shade[w] += part * (1 - self.shade[w])
        self.albedo[w] += part[..., None] * (np.broadcast_to(tone, (S, S, 3))[w] - self.albedo[w])

    def follow(self, field: Array) -> Array:
        """Return a periodic field in the scene's turned and shifted coordinates."""
        at = [(self.y + 1) * S / 2, (self.x + 1) * S / 2]
        return np.asarray(ndimage.map_coordinates(field, at, order=1, mode="grid-wrap"))

    def render(self, g: Rng, m: Rng) -> NDArray[np.uint8]:
        """Return the image: light, light gradient, colour shift, grain, then area averaging to 256 x 256."""
        azimuth, tilt = g.uniform(0, 2 * np.pi), g.uniform(0.5, 0.9)
        azimuth += m.normal(0, 0.08)
        light = np.array([np.cos(azimuth) * np.cos(tilt), np.sin(azimuth) * np.cos(tilt), np.sin(tilt)])
        dy, dx = np.gradient(ndimage.gaussian_filter(self.height, 0.7) / PIXEL * self.relief)
        normal = np.stack([-dx, -dy, np.ones_like(dx)], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        diffuse = np.maximum(normal @ light, 0) / light[2]
        half = light + np.array([0.0, 0.0, 1.0])
        shine = np.maximum(normal @ (half / np.linalg.norm(half)), 0) ** g.uniform(15, 60)
        ambient = g.uniform(0.3, 0.55)
        image = self.albedo * ((ambient + (1 - ambient) * diffuse) * self.shade)[..., None]
        image += (self.gloss * shine)[..., None]
        v, u = np.mgrid[0:S, 0:S] / S - 0.5
        slope = g.normal(0, 0.12, 2) + m.normal(0, 0.04, 2)
        image *= (1 + slope[0] * u + slope[1] * v)[..., None] * m.normal(1, 0.03)
        image = image * m.normal(1, 0.012, 3) + m.normal(0, 0.006)
        if g.random() < 0.3:
            image = np.repeat(image.mean(-1, keepdims=True), 3, -1)
        image = ndimage.gaussian_filter(image, (g.uniform(0.3, 1.2),) * 2 + (0,))
        small = image.reshape(SIDE, FACTOR, SIDE, FACTOR, 3).mean((1, 3))
        small = small + m.standard_normal((SIDE, SIDE, 1)) * g.choice([0.0, 0.006, 0.015, 0.03])
        return np.asarray(np.clip(small, 0, 1) * 255 + 0.5, dtype=np.uint8)
