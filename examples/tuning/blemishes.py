"""Defects that any surface can get. None is drawn as those of `normalgen.images.defects`, which detectors may use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw
from scene import Array, Rng, noise
from scipy import ndimage

from tuning.surface import PIXEL, SIDE, Flaw, Surface, X, Y


@cache
def sample(name: str) -> Array:
    """Return one of scikit-image's textures (512, 512) in [0, 1]; its wheel holds them."""
    with Image.open(Path(skimage.data.__file__).parent / f"{name}.png") as image:
        return np.asarray(image.convert("L"), dtype=np.float64) / 255


def spot(s: Surface, rng: Rng) -> tuple[Array, Array]:
    """Return coordinates about a random point inside, turned at random."""
    rows, columns = np.nonzero(s.inside)
    i, angle = rng.integers(len(rows)), rng.uniform(0, 2 * np.pi)
    x, y = X - X[0, columns[i]], Y - Y[rows[i], 0]
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def blob(s: Surface, radius: float, rng: Rng, soft: float = 2.0, ragged: float = 0.35) -> Array:
    """Return the share (SIDE, SIDE) that a blob with a ragged outline covers; its edge is `soft` pixels wide."""
    x, y = spot(s, rng)
    stretch = rng.uniform(0.75, 1.35)
    field = np.hypot(x * stretch, y / stretch) - radius * (1 + ragged * noise(rng, 1.6, low=2, side=SIDE))
    return np.asarray(np.clip(0.5 - field / PIXEL / soft, 0, 1)) * (np.hypot(x, y) < 3 * radius)


def blend(s: Surface, alpha: Array, tone: Array | float) -> None:
    s.albedo += np.clip(alpha, 0, 1)[..., None] * (tone - s.albedo)


def scuff(s: Surface, amount: float, rng: Rng) -> None:
    """Rub through the skin in many fine parallel lines."""
    x, y = spot(s, rng)
    long, wide = 0.1 + 0.25 * amount, 0.03 + 0.08 * amount
    lines = ndimage.gaussian_filter1d(rng.standard_normal(400), 1.0)
    profile = np.clip(2.2 * lines[np.clip((y * 110).astype(int) + 200, 0, 399)], 0, 1)
    alpha = profile * np.clip(1.6 - 1.6 * np.hypot(x / long, y / wide), 0, 1)
    blend(s, alpha * (0.12 + 0.4 * amount), 0.95 if s.albedo.mean() < 0.6 else 0.1)
    s.height -= 0.006 * amount * alpha


def wire(s: Surface, amount: float, rng: Rng) -> None:
    """Lay a bent hair or wire on the surface."""
    x, y = spot(s, rng)
    row, column = np.unravel_index(np.hypot(x, y).argmin(), x.shape)
    angle, long = rng.uniform(0, 2 * np.pi), SIDE * (0.1 + 0.22 * amount)
    t = np.linspace(-0.5, 0.5, 40)
    ahead, aside = long * t, long * (rng.normal(0, 0.6) * t**2 + rng.normal(0, 0.8) * t**3)
    u, v = column + ahead * np.cos(angle) - aside * np.sin(angle), row + ahead * np.sin(angle) + aside * np.cos(angle)
    canvas = Image.new("L", (SIDE * 4, SIDE * 4))
    points = [(float(a), float(b)) for a, b in zip(u * 4, v * 4, strict=True)]
    ImageDraw.Draw(canvas).line(points, fill=255, width=round(4 * (0.9 + 1.5 * amount)), joint="curve")
    alpha = np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64) / 255
    blend(s, 0.5 * np.roll(alpha, (2, 1), (0, 1)), s.albedo * 0.5)
    blend(s, alpha * (0.5 + 0.5 * amount), 0.9 if s.albedo.mean() < 0.5 else 0.1)
    s.height += 0.01 * alpha


def soak(s: Surface, amount: float, rng: Rng) -> None:
    """Soak the surface with liquid, darker at the rim where it dried."""
    radius = 0.08 + 0.16 * amount
    alpha = blob(s, radius, rng, 5, 0.2)
    rim = np.clip(alpha * (1 - ndimage.gaussian_filter(alpha, 3)) * 4, 0, 1)
    tint = np.array([0.75, 1.0, 1.3]) if s.albedo.std((0, 1)).max() > 0 else np.ones(3)
    s.albedo *= np.maximum(1 - (0.06 + 0.2 * amount) * (alpha + 0.7 * rim)[..., None] * tint, 0.1)
    s.gloss += 0.3 * alpha


def corrosion(s: Surface, amount: float, rng: Rng) -> None:
    """Eat pits into the surface that join to a rusty area."""
    area = blob(s, 0.08 + 0.14 * amount, rng, 24, 0.3)
    alpha = np.clip(2 * (noise(rng, 0.9, low=4, side=SIDE) + 2.4 * area - 1.9), 0, 1) * (area > 0)
    tone = np.array([0.42, 0.25, 0.13]) * (1 + 0.2 * noise(rng, 0.5, side=SIDE))[..., None]
    blend(s, alpha * (0.3 + 0.6 * amount), tone)
    s.gloss *= 1 - alpha
    s.height += 0.006 * alpha * noise(rng, 0.6, low=8, side=SIDE)


def graft(s: Surface, amount: float, rng: Rng) -> None:
    """Show a piece of another texture, as bright as what it covers."""
    others = [name for name in ("grass", "gravel", "brick") if name != s.texture]
    texture = sample(others[rng.integers(len(others))])
    row, column = rng.integers(0, texture.shape[0] - SIDE, 2)
    piece = texture[row : row + SIDE, column : column + SIDE]
    alpha = blob(s, 0.07 + 0.14 * amount, rng)
    covered = (s.albedo * alpha[..., None]).sum((0, 1)) / max(alpha.sum(), 1e-6)
    mean = (piece * alpha).sum() / max(alpha.sum(), 1e-6)
    blend(s, alpha, np.clip(covered * (1 + (0.5 + amount) * (piece / max(mean, 0.05) - 1))[..., None], 0, 1))
    s.gloss *= 1 - 0.5 * alpha


def crease(s: Surface, amount: float, rng: Rng) -> None:
    """Fold a ridge or a furrow into the surface."""
    x, y = spot(s, rng)
    long, bend = 0.15 + 0.3 * amount, rng.normal(0, 0.6)
    across = (y - bend * x**2) / (0.018 + 0.014 * amount)
    s.height += rng.choice([-1, 1]) * (0.012 + 0.03 * amount) * np.exp(-(across**2) - (x / long) ** 4)


def tear(s: Surface, amount: float, rng: Rng) -> None:
    """Open a ragged slit; what lies below is dark, and the edges stand up."""
    x, y = spot(s, rng)
    long, wide = 0.06 + 0.16 * amount, 0.014 + 0.035 * amount
    rough = noise(rng, 1.0, low=6, side=SIDE)
    field = np.abs(y + 0.01 * rough) - wide * np.clip(1 - (x / long) ** 2, 0, 1) * (1 + 0.3 * rough)
    alpha = np.clip(0.5 - field / PIXEL, 0, 1) * (np.abs(x) < long)
    s.height += 0.03 * ndimage.gaussian_filter(alpha, 3) * (1 - alpha)
    blend(s, alpha * (0.45 + 0.5 * amount), 0.06)


def smear(s: Surface, amount: float, rng: Rng) -> None:
    """Wipe the texture in one direction, as glue or a roller does."""
    alpha = blob(s, 0.1 + 0.16 * amount, rng, 4)
    far = int(rng.integers(2))
    wiped = ndimage.uniform_filter(s.albedo, (7 + int(18 * amount), 3, 1) if far else (3, 7 + int(18 * amount), 1))
    blend(s, alpha * (0.6 + 0.4 * amount), wiped * (1 + 0.1 * amount))
    s.height += alpha * (s.height.mean() - s.height) * 0.8


def lump(s: Surface, amount: float, rng: Rng) -> None:
    """Leave a drop of mortar, resin or solder."""
    x, y = spot(s, rng)
    radius = 0.03 + 0.06 * amount
    field = np.hypot(x * rng.uniform(0.8, 1.2), y) - radius * (1 + 0.15 * noise(rng, 1.6, low=2, side=SIDE))
    tone = s.albedo.mean((0, 1)) * rng.choice([0.6, 1.4])
    share = min(0.5 + 0.5 * amount, 1)
    s.put(field, np.clip(share * tone + (1 - share) * s.albedo, 0, 1), bevel=radius, lift=0.002, gloss=0.5)


def pull(s: Surface, amount: float, rng: Rng) -> None:
    """Pull the pattern aside."""
    x, y = spot(s, rng)
    row, column = np.unravel_index(np.hypot(x, y).argmin(), x.shape)
    reach = 0.09 + 0.12 * amount
    bell = np.exp(-((np.hypot(X - X[0, column], Y - Y[row, 0]) / reach) ** 2)) * SIDE * reach * 0.5 * (0.3 + amount)
    angle = rng.uniform(0, 2 * np.pi)
    at = np.mgrid[0:SIDE, 0:SIDE] + np.array([np.sin(angle), np.cos(angle)])[:, None, None] * bell * 0.5
    for i in range(3):
        s.albedo[..., i] = ndimage.map_coordinates(s.albedo[..., i], at, order=1, mode="reflect")
    s.height = ndimage.map_coordinates(s.height, at, order=1, mode="reflect")


BLEMISHES: dict[str, Callable[[Surface, float, Rng], None]] = {
    f.__name__: f for f in (scuff, wire, soak, corrosion, graft, crease, tear, smear, lump, pull)
}


def blemish(s: Surface, flaw: Flaw | None) -> None:
    """Draw the flaw if any surface can have it; parts draw their own."""
    if flaw and flaw.kind in BLEMISHES:
        BLEMISHES[flaw.kind](s, flaw.amount, flaw.rng)
