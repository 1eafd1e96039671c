"""Surfaces that fill the frame: a drawn cloth, and cuts of photographed textures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scene import Array, Rng, noise

from tuning.blemishes import blemish, sample
from tuning.surface import SIDE, Flaw, Surface, X, batch, handle, pose


def cloth(m: Rng, flaw: Flaw | None) -> Surface:
    """A plain weave in five dye batches, with uneven threads."""
    x, y = pose(m, turn=3, shift=0.5, zoom=0.05)
    wobble = 0.14 * noise(m, 1.7, side=SIDE), 0.14 * noise(m, 1.7, side=SIDE)
    u, v = x * 13 + wobble[0], y * 13 + wobble[1]
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    over = (i + j) % 2 == 0
    across, along = np.where(over, u - i, v - j) - 0.5, np.where(over, v - j, u - i) - 0.5
    threads = m.normal(1, 0.05, (2, 200))
    tone = np.where(over, threads[0][i % 200], threads[1][j % 200]) * (1 + 0.08 * noise(m, 0.4, side=SIDE))
    warp, weft = batch(m, (0.35, 0.42, 0.55), 0.05), batch(m, (0.5, 0.5, 0.52), 0.05)
    albedo = np.where(over[..., None], warp, weft) * (tone * (1 - 1.4 * across**2))[..., None]
    height = 0.05 * (np.sqrt(np.maximum(0, 0.26 - across**2)) + 0.25 * np.cos(np.pi * along))
    s = Surface(albedo, height, np.full((SIDE, SIDE), 0.05), np.hypot(x, y) < 2)
    handle(s, m)
    return framed(s, flaw)


def framed(s: Surface, flaw: Flaw | None) -> Surface:
    """Return the surface with a blemish away from the border."""
    s.inside = (np.abs(X) < 0.75) & (np.abs(X.T) < 0.75)
    blemish(s, flaw)
    return s


@cache
def decoded(file: Path) -> Array:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32) / 255


@dataclass(frozen=True)
class Cuts:
    """Cuts of a texture; those for training come from its left half, those for tests from its right half.

    Attributes:
        source: name of scikit-image's grey texture, or the file of a texture in colour.
        tone: colour that a grey texture is printed in.
        sides: least and most width of a cut, in pixels of the texture.
        turn: deviation of the turn in degrees; 180 means any.
        relief: how much brightness counts as height under the changing light.
    """

    source: str | Path
    tone: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sides: tuple[float, float] = (140, 172)
    turn: float = 180
    relief: float = 0.015

    def half(self, test: bool) -> Array:
        """Return the half that train or test photos are cut from; four columns between the two belong to neither."""
        texture = sample(self.source) if isinstance(self.source, str) else decoded(self.source)
        middle = texture.shape[1] // 2
        return texture[:, middle + 2 :] if test else texture[:, : middle - 2]

    def __call__(self, m: Rng, flaw: Flaw | None, test: bool) -> Surface:
        half = self.half(test)
        tall, wide = half.shape[:2]
        angle = np.deg2rad(m.uniform(0, 360) if self.turn >= 180 else m.normal(0, self.turn))
        grown = abs(np.cos(angle)) + abs(np.sin(angle))
        side = min(m.uniform(*self.sides), (min(tall, wide) - 2) / grown)
        reach = side * grown / 2
        cx, cy = m.uniform(reach, wide - reach), m.uniform(reach, tall - reach)
        c, n, flip = np.cos(angle) * side / SIDE, np.sin(angle) * side / SIDE, m.choice([-1, 1])
        middle = SIDE / 2
        turned = (c * flip, n, cx - (c * flip + n) * middle, -n * flip, c, cy - (c - n * flip) * middle)
        image = Image.fromarray((half * 255).astype(np.uint8))
        cut = image.transform((SIDE, SIDE), Image.Transform.AFFINE, turned, Image.Resampling.BICUBIC)
        albedo = np.asarray(cut.convert("RGB"), dtype=np.float64) / 255
        contrast, mean = m.normal(1, 0.1), albedo.mean((0, 1))
        albedo = np.clip(((albedo - mean) * contrast + mean) * batch(m, self.tone, 0.03), 0.02, 1)
        height = self.relief * m.uniform(0.3, 1) * relative(albedo)
        s = Surface(albedo, height, np.full((SIDE, SIDE), 0.1), np.ones((SIDE, SIDE), bool))
        s.texture = str(self.source)
        handle(s, m, 0.7)
        return framed(s, flaw)


def relative(albedo: Array) -> Array:
    """Return brightness relative to its deviation."""
    grey = albedo.mean(-1)
    return np.asarray((grey - grey.mean()) / (grey.std() + 1e-6))
