"""Drawn materials: surfaces that fill the frame (see `drawings.py`)."""

from __future__ import annotations

import numpy as np
from scene import Array, Rng, S, Scene, box, cells, circle, colour, metal, noise
from scipy import ndimage


def fabric(g: Rng, m: Rng) -> Scene:
    """Plain, twill, or basket weave with uneven threads."""
    s = Scene(g, m, turn=1.5, material=True)
    n, step, warp_tone, weft_tone = g.uniform(8, 34), int(g.integers(1, 4)), colour(g), colour(g)
    if g.random() < 0.5:
        weft_tone = warp_tone * g.uniform(0.7, 1.2)
    wobble = 0.12 * noise(m, 1.8) / n
    u, v = (s.x + wobble) * n, (s.y + np.roll(wobble, S // 2, 1)) * n
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    over = [(i + j) % 2 == 0, (i + j) % 4 < 2, (i // 2 + j // 2) % 2 == 0][step - 1]
    across = np.where(over, u - i - 0.5, v - j - 0.5)
    along = np.where(over, v - j - 0.5, u - i - 0.5)
    s.height = (np.sqrt(np.maximum(0, 0.26 - across**2)) + 0.25 * np.cos(np.pi * along)) / n * g.uniform(0.4, 0.9)
    fibre = 1 + g.uniform(0.05, 0.2) * np.where(over, noise(m, 0.5, 0.25), noise(m, 0.5, 4))
    edge = 1 - 0.5 * np.clip((np.abs(across) - 0.36) / 0.14, 0, 1)
    s.albedo = np.where(over[..., None], warp_tone, weft_tone) * (fibre * edge)[..., None]
    return s


def hexagon(x: Array, y: Array) -> Array:
    """Return the distance in the norm whose unit ball is a hexagon with a flat top."""
    return np.maximum(np.abs(y), np.abs(x) * 3**0.5 / 2 + np.abs(y) / 2)


def mesh(g: Rng, m: Rng) -> Scene:
    """Wire grid, perforated sheet, or honeycomb over a background."""
    s = Scene(g, m, turn=2, material=True)
    s.albedo *= (1 + 0.06 * noise(m, 1.2))[..., None]
    n, kind, thick, tone = g.uniform(2.5, 12), g.integers(3), g.uniform(0.1, 0.32), metal(g)
    if g.random() < 0.5:
        tone = colour(g)
    u, v = s.x * n, s.y * n
    if kind == 0:
        bars = np.minimum(np.abs(np.mod(u, 1) - 0.5), np.abs(np.mod(v, 1) - 0.5)) - thick / 2
    elif kind == 1:
        row = np.floor(v)
        bars = -circle(np.mod(u + (row % 2) / 2, 1) - 0.5, v - row - 0.5, 0.5 - thick / 2)
    else:
        x, y = np.mod(u, 3**0.5) - 3**0.5 / 2, np.mod(v, 1) - 0.5
        x2, y2 = np.mod(u + 3**0.5 / 2, 3**0.5) - 3**0.5 / 2, np.mod(v + 0.5, 1) - 0.5
        inner = (
            np.minimum(np.hypot(x, y), np.hypot(x2, y2)) if thick > 0.25 else np.minimum(hexagon(x, y), hexagon(x2, y2))
        )
        bars = 0.5 - thick / 2 - inner
    s.put(bars / n, tone, bevel=thick / n / 1.5, bump=0.0003 * noise(m, 0.6), gloss=0.3, shadow=0.5)
    return s


def fibres(g: Rng, m: Rng) -> Scene:
    """Carpet or felt: fine noise in two scales, mottled colour, sometimes stripes or loops."""
    s = Scene(g, m, turn=2, material=True)
    tone, n = colour(g, 0.25, 0.7), g.uniform(10, 40)
    fine = noise(m, g.uniform(0.0, 0.7), g.uniform(0.5, 2), 20)
    coarse = noise(m, g.uniform(0.8, 1.6))
    loops = np.sin(np.pi * n * s.x) * np.sin(np.pi * n * s.y) * (g.random() < 0.4)
    bands = 0.2 * np.sign(np.sin(s.x * g.uniform(3, 14))) * (g.random() < 0.3)
    mottle = 1 + g.uniform(0.1, 0.3) * fine + g.uniform(0, 0.12) * coarse + 0.25 * loops + bands
    s.albedo = np.clip(mottle[..., None] * tone + g.uniform(0, 0.05) * noise(m, 0.2)[..., None] * [1, 0, -1], 0, 1)
    s.height = 0.0012 * fine + 0.2 / n * loops
    return s


def leather(g: Rng, m: Rng) -> Scene:
    """Pebbled cells with creases between them, or smooth cast pebbles."""
    s = Scene(g, m, turn=5, material=True)
    warp, count = 0.03 * noise(m, 1.6), int(g.integers(1200, 15000))
    near, second, _ = cells(m, s.x + warp, (s.y + np.roll(warp, S // 2, 0)) * g.uniform(0.7, 1.4), count)
    size = 2.7 / count**0.5
    ridge = np.clip((second - near) / size / g.uniform(0.3, 0.7), 0, 1)
    s.height = size * g.uniform(0.15, 0.5) * ridge * (2 - ridge) + 0.0005 * noise(m, 0.8)
    s.albedo = colour(g, 0.1, 0.7) * (0.6 + 0.4 * ridge + 0.05 * noise(m, 1.5))[..., None]
    s.gloss[:] = g.uniform(0, 0.4)
    return s


def wood(g: Rng, m: Rng) -> Scene:
    """Straight or flowery grain with pores, sometimes boards."""
    s = Scene(g, m, turn=1.5, material=True)
    tone = np.array([[0.72, 0.53, 0.33], [0.5, 0.3, 0.17], [0.83, 0.7, 0.5], [0.35, 0.22, 0.15]])[g.integers(4)]
    rows = g.choice([0, 0, 3, 5])
    board_no = np.floor(s.y * rows / 2) if rows else np.zeros((S, S))
    warp = s.follow(noise(m, 2.2, 4)) * g.uniform(0.03, 0.2)
    rings = np.hypot(s.y + 0.37 * board_no + g.uniform(-2, 2) + warp, 0.25 * s.x + g.uniform(-1, 1) + board_no)
    wave = np.mod(rings * g.uniform(5, 25) + 0.15 * s.follow(noise(m, 1.5, 12)), 1) ** g.uniform(1, 3)
    pores = np.clip(s.follow(noise(m, 0.4, 16, 4)) - 1.2, 0, 2)
    s.albedo = tone * (1.1 - g.uniform(0.2, 0.5) * wave - 0.2 * pores + 0.05 * np.sin(board_no * 5))[..., None]
    if rows:
        joint = np.abs(np.mod(s.y * rows / 2 + 0.5, 1) - 0.5) * 2 / rows - 0.008
        s.put(joint, tone * 0.3, bevel=0.01, lift=-0.01)
    s.height += -0.0006 * pores
    return s


def tiles(g: Rng, m: Rng) -> Scene:
    """Tiles, bricks, or paving with joints; each tile has its own tone."""
    s = Scene(g, m, turn=1.5, material=True)
    n, aspect, joint, bond = (
        g.uniform(1.2, 6),
        g.choice([1, 1, 2, 2.5]),
        g.uniform(0.02, 0.08),
        g.random() < 0.5,
    )
    row = np.floor(s.y * n * aspect / 1.5)
    u = s.x * n + 0.5 * (row % 2) * bond
    x, y = (np.mod(u, 1) - 0.5) / n, (np.mod(s.y * n * aspect / 1.5, 1) - 0.5) / (n * aspect / 1.5)
    number = np.floor(u) * 7.13 + row * 3.71
    vary = 1 + g.uniform(0, 0.2) * np.sin(number * 12.9898)
    face = vary * (1 + g.uniform(0, 0.12) * noise(m, g.uniform(0.5, 1.8)))
    s.albedo *= (1 + 0.1 * noise(m, 0.4))[..., None]
    field = box(x, y, (0.5 - joint) / n, (0.5 - joint * aspect / 2) / (n * aspect / 1.5), g.uniform(0, 0.03) / n)
    tone = colour(g, 0.2, 0.9) * face[..., None]
    s.put(
        field,
        tone,
        bevel=g.uniform(0.02, 0.08) / n,
        bump=g.choice([0.0, 0.001]) * noise(m, 1),
        gloss=g.uniform(0, 0.6),
    )
    return s


def sheet(g: Rng, m: Rng) -> Scene:
    """Brushed, turned, cast, or hammered metal, concrete, and glazed ceramic."""
    s = Scene(g, m, turn=1.5, material=True)
    kind, tone = g.integers(5), metal(g) if g.random() < 0.6 else colour(g)
    fine = s.follow(noise(m, g.uniform(0.2, 0.9), g.uniform(20, 100) if kind == 0 else 1))
    if kind == 1:
        rho = np.hypot(s.x - g.uniform(-1, 1), s.y - g.uniform(-1, 1))
        lines = m.standard_normal(4000)
        fine = 0.6 * ndimage.gaussian_filter1d(lines, 1.2)[np.minimum(rho * 900, 3999).astype(int)] * 1.5
    if kind == 3:
        near, _, _ = cells(m, s.x, s.y, int(g.integers(200, 1500)))
        s.height = 0.4 * near**2 * g.uniform(1, 3)
    speck = np.clip(noise(m, 0.3) - g.uniform(1.5, 2.5), 0, 1) * (kind == 4)
    s.albedo = tone * (1 + g.uniform(0.03, 0.12) * fine + 0.04 * noise(m, 2) - 0.6 * speck)[..., None]
    s.height = s.height + g.uniform(0.0002, 0.0015) * fine * (kind != 4)
    s.gloss[:] = g.uniform(0, 0.5)
    return s


def panel(g: Rng, m: Rng) -> Scene:
    """Ribbed or striped panel, solar-cell-like grid lines, corrugated plate."""
    s = Scene(g, m, turn=1, material=bool(g.random() < 0.5))
    tone, n, kind = colour(g), g.uniform(3, 14), g.integers(3)
    s.albedo[:] = tone * (1 + g.uniform(0.02, 0.1) * noise(m, g.uniform(0.4, 1.6)))[..., None]
    stripe = np.abs(np.mod(s.x * n / 2, 1) - 0.5) * 2 / n
    if kind == 0:
        s.height = np.cos(np.pi * n * s.x) * g.uniform(0.2, 0.6) / n / 2
        s.gloss[:] = g.uniform(0, 0.4)
    else:
        s.put(stripe - g.uniform(0.1, 0.45) / n, colour(g), bevel=0.02, lift=g.choice([0.0, 0.02]), shadow=0.3)
    if kind == 2:
        fine = np.abs(np.mod(s.y * n * g.uniform(1, 6), 1) - 0.5) / n / 3
        s.put(fine - 0.006, np.full(3, 0.8), bevel=0.01, gloss=0.4)
    return s
