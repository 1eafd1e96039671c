"""Three invented parts, with the tolerances of a line. Flaws of shape are drawn here, the others in `blemishes.py`."""

from __future__ import annotations

import numpy as np
from scene import Array, Rng, box, circle, noise
from scipy import ndimage

from tuning.blemishes import blemish
from tuning.surface import PIXEL, SIDE, Flaw, Surface, batch, handle, plain, pose


def finish(s: Surface, field: Array, m: Rng, flaw: Flaw | None, marks: float = 1.0) -> Surface:
    """Return the part with dust, marks, and a blemish inside `field`."""
    handle(s, m, marks)
    s.inside = field < -0.03
    blemish(s, flaw)
    return s


def connector(m: Rng, flaw: Flaw | None) -> Surface:
    """A plastic housing on a belt, with two rows of six pins. Flaws: a bent pin, a short pin."""
    x, y = pose(m, turn=4, shift=0.05)
    s = plain(batch(m, (0.36, 0.38, 0.4), 0.02), m, power=0.8, rough=0.08)
    skin = batch(m, (0.16, 0.17, 0.19), 0.05) * (1 + 0.06 * noise(m, 0.4, side=SIDE))[..., None]
    wide, high = 0.78 + m.normal(0, 0.01), 0.42 + m.normal(0, 0.01)
    body = np.maximum(box(x, y, wide, high, 0.06), -box(x - m.normal(0, 0.01), y + high, 0.14, 0.07, 0.02))
    s.put(body, skin, bevel=0.05, lift=0.06, gloss=m.uniform(0.15, 0.4))
    s.put(box(x, y, wide - 0.12, high - 0.12, 0.03), skin * 0.6, bevel=0.02, lift=0.001, gloss=0.05)
    pin, gold = -1, batch(m, (0.78, 0.64, 0.34), 0.03)
    if flaw and flaw.kind in ("bent", "short"):
        pin = int(flaw.rng.integers(12))
    for i in range(12):
        across, down = m.normal(0, 0.008, 2)
        tall, tone = 0.075 + m.normal(0, 0.004), gold * m.normal(1, 0.06)
        lean = 0.0
        if flaw and i == pin and flaw.kind == "bent":
            lean = flaw.rng.choice([-1, 1]) * (0.2 + 0.5 * flaw.amount)
            across += 0.05 * lean
        if flaw and i == pin and flaw.kind == "short":
            tall *= 0.85 - 0.5 * flaw.amount
            tone = tone * (1 - 0.25 * flaw.amount)
        u, v = x - (i % 6 - 2.5) * 0.21 - across, y - (i // 6 - 0.5) * 0.29 - down
        s.put(box(u + lean * v, v, 0.034, tall, 0.012), tone, bevel=0.025, lift=0.05, gloss=0.5)
    return finish(s, body, m, flaw)


def flange(m: Rng, flaw: Flaw | None) -> Surface:
    """A turned steel ring with five bolt holes, at any angle. Flaws: a clogged hole, a nick in the rim."""
    x, y = pose(m, turn=180, shift=0.04)
    s = plain(batch(m, (0.2, 0.22, 0.26), 0.02), m, power=1.2, rough=0.06)
    rho, angle = np.hypot(x, y), np.arctan2(y, x)
    lines = ndimage.gaussian_filter1d(m.standard_normal(600), 0.8)[np.minimum(rho * 220, 599).astype(int)]
    steel = batch(m, (0.58, 0.59, 0.6), 0.03)
    sheen = 0.06 * np.cos(2 * (angle - m.uniform(0, np.pi))) + 0.05 * lines + 0.03 * noise(m, 1.6, side=SIDE)
    radius, hole = 0.76 + m.normal(0, 0.008), 0.095 + m.normal(0, 0.004)
    ring = np.maximum(rho - radius, 0.24 - rho)
    if flaw and flaw.kind == "nick":
        at, deep = flaw.rng.uniform(0, 2 * np.pi), 0.03 + 0.1 * flaw.amount
        bite = circle(x - radius * np.cos(at), y - radius * np.sin(at), deep)
        ring = np.maximum(ring, -bite - 0.2 * deep * noise(flaw.rng, 1.5, low=3, side=SIDE))
    step = 2 * np.pi / 5
    turned = np.mod(angle, step) - step / 2
    holes = circle(rho * np.cos(turned) - 0.5, rho * np.sin(turned), hole)
    s.put(np.maximum(ring, -holes), steel * (1 + sheen)[..., None], bevel=0.03, lift=0.08, gloss=0.5)
    groove = np.abs(rho - 0.66 - m.normal(0, 0.008)) - 0.012
    s.albedo *= (1 - 0.3 * np.clip(0.5 - groove / PIXEL, 0, 1))[..., None]
    if flaw and flaw.kind == "clogged":
        at = step * (int(flaw.rng.integers(5)) + 0.5)
        cx, cy, level = 0.5 * np.cos(at), 0.5 * np.sin(at), flaw.rng.uniform(-0.6, 0.6)
        filled = np.maximum(
            circle(x - cx, y - cy, hole), (x - cx) * level + (y - cy) + hole * (0.8 - 1.6 * flaw.amount)
        )
        s.put(filled, steel * (0.5 + 0.3 * flaw.amount), bevel=0.05, lift=0.001, gloss=0.1)
    return finish(s, np.maximum(ring, -holes), m, flaw)


def blister(m: Rng, flaw: Flaw | None) -> Surface:
    """Nine tablets in foil, each turned. Flaws: a broken tablet, a tablet of another thickness and tone."""
    x, y = pose(m, turn=2.5, shift=0.03)
    s = plain(batch(m, (0.6, 0.62, 0.64), 0.02), m, power=1.4, rough=0.04, gloss=0.5)
    s.height += 0.0022 * np.sin(x * 70 + m.uniform(0, 6)) * np.sin(y * 70) + 0.012 * noise(m, 2, side=SIDE)
    grains = 1 + 0.05 * noise(m, 0.3, side=SIDE)
    tone, tablets = batch(m, (0.86, 0.72, 0.62), 0.05), np.full((SIDE, SIDE), 1.0)
    wrong = int(flaw.rng.integers(9)) if flaw and flaw.kind in ("broken", "faded") else -1
    for i in range(9):
        u, v = x - (i % 3 - 1) * 0.58, y - (i // 3 - 1) * 0.58
        s.put(circle(u, v, 0.25), s.albedo * 0.85, bevel=0.06, lift=0.02, gloss=0.6)
        u, v, turn = u - m.normal(0, 0.012), v - m.normal(0, 0.012), m.uniform(0, 2 * np.pi)
        u, v = np.cos(turn) * u + np.sin(turn) * v, np.cos(turn) * v - np.sin(turn) * u
        field, skin = circle(u, v, 0.19 + m.normal(0, 0.003)), tone * m.normal(1, 0.015)
        if flaw and i == wrong and flaw.kind == "broken":
            rough = noise(flaw.rng, 1.2, low=4, side=SIDE)
            field = np.maximum(field, u - 0.17 + 0.15 * flaw.amount + 0.012 * rough)
        if flaw and i == wrong and flaw.kind == "faded":
            skin = skin * (1 - np.array([0.05, 0.14, 0.22]) * (0.4 + flaw.amount))
        s.put(field, skin * grains[..., None], bevel=0.07, lift=0.05, gloss=0.15)
        score = np.maximum(np.abs(v) - 0.012, field + 0.03)
        s.albedo *= (1 - 0.25 * np.clip(0.5 - score / PIXEL, 0, 1))[..., None]
        tablets = np.minimum(tablets, field)
    return finish(s, tablets, m, flaw, 0.6)
