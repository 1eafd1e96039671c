"""Drawn images of parts and materials for the training data of the small diffusion prior.

Every drawing is `draw(g, m) -> Scene`. `g` is the group's generator, seeded again for each member, so that all members
share one setting. `m` is the member's generator for small differences (position, rotation, light, colour, grain). No
drawing has defects.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from materials import fabric, fibres, leather, mesh, panel, sheet, tiles, wood
from numpy.typing import NDArray
from scene import PIXEL, Rng, S, Scene, box, circle, colour, metal, ngon, noise
from scipy import ndimage


def backdrop(s: Scene, g: Rng, m: Rng) -> None:
    """A faintly structured support under a part."""
    rough, grain = g.choice([0.0, 0.0, 0.02, 0.06]), noise(m, g.uniform(0.3, 1.6))
    s.albedo = np.clip(s.albedo * (1 + rough * grain)[..., None], 0, 1)


def screw(g: Rng, m: Rng) -> Scene:
    """Screw or bolt from the side: head, threaded shaft, and a pointed or flat end."""
    s = Scene(g, m, turn=4)
    backdrop(s, g, m)
    tone, length, r = metal(g), g.uniform(0.55, 0.75), g.uniform(0.09, 0.2)
    pitch, deep, slant = g.uniform(0.045, 0.1), g.uniform(0.1, 0.25), g.uniform(0.1, 0.4)
    tip, plain, phase = g.choice([0.05, 0.4]), g.choice([0.0, 0.4]), m.uniform(0, 1)
    wave = np.abs(np.mod((s.x + slant * s.y) / pitch + phase, 1) * 2 - 1)
    radius = r * (1 - deep * wave * (s.x > -length + plain))
    radius = radius * np.clip((length - s.x) / tip, 0.02, 1)
    field = np.maximum((np.abs(s.y) - radius) * 0.8, np.abs(s.x) - length)
    round_bar = np.sqrt(np.maximum(r**2 - np.minimum(s.y**2, r**2), 0))
    s.put(field, tone, bevel=0.02, bump=round_bar - 0.35 * r * wave * deep * 4, gloss=0.5, shadow=0.5)
    wide, thick, kind = r * g.uniform(1.7, 2.3), g.uniform(0.07, 0.13), g.integers(3)
    head = box(s.x + length + thick, s.y, thick, wide, 0.02 + 0.6 * thick * (kind == 1))
    if kind == 2:
        head = np.maximum(head, np.abs(s.y) - wide + np.maximum(s.x + length + thick, 0) * 2.0)
    facets = 0.1 * np.abs(s.y / wide > 0.45) * (kind == 0) + 0.2 * (kind != 0) * np.sqrt(
        np.maximum(0, 1 - (s.y / wide) ** 2)
    )
    s.put(head, tone * 0.97, bevel=0.05, bump=facets, gloss=0.5, shadow=0.4)
    return s


def nut(g: Rng, m: Rng) -> Scene:
    """Nut, washer, or cast metal ring from above."""
    s = Scene(g, m, turn=15)
    backdrop(s, g, m)
    tone, r, hole = metal(g), g.uniform(0.55, 0.78), g.uniform(0.3, 0.6)
    kind, rough = g.integers(4), g.choice([0.0, 0.0004, 0.0012])
    outer = ngon(s.x, s.y, r, 6) if kind < 2 else circle(s.x, s.y, r)
    if kind == 3:
        turn = np.mod(np.arctan2(s.y, s.x), np.pi / 2) - np.pi / 4
        rho = np.hypot(s.x, s.y)
        outer = np.maximum(outer, -circle(rho * np.cos(turn) - r, rho * np.sin(turn), r * 0.18))
    if kind == 1:
        s.put(circle(s.x, s.y, r * 1.18), tone * 0.9, bevel=0.03, gloss=0.4, shadow=0.5)
    ring = np.maximum(outer, -circle(s.x, s.y, r * hole))
    s.put(ring, tone, bevel=g.uniform(0.03, 0.15), lift=0.05, bump=rough * noise(m, 0.8), gloss=0.45, shadow=0.6)
    if kind < 2:
        thread = np.abs(np.hypot(s.x, s.y) - r * hole * 0.93) - r * hole * 0.06
        s.put(thread, tone * 0.6, bevel=0.03, gloss=0.3)
    return s


def gear(g: Rng, m: Rng) -> Scene:
    """Spur gear with spokes or holes."""
    s = Scene(g, m, turn=20)
    backdrop(s, g, m)
    teeth, r, deep = int(g.integers(10, 36)), g.uniform(0.6, 0.75), g.uniform(0.06, 0.14)
    angle, rho, tone = np.arctan2(s.y, s.x), np.hypot(s.x, s.y), metal(g) if g.random() < 0.6 else colour(g)
    profile = np.clip(np.cos(teeth * angle) * 2.2, -1, 1) * deep / 2
    field = np.maximum((rho - r - profile) * 0.85, -(rho - r * g.uniform(0.12, 0.25)))
    holes, distance, size = int(g.integers(3, 8)), r * 0.58, r * g.uniform(0.1, 0.2)
    step = 2 * np.pi / holes
    turn = np.mod(angle, step) - step / 2
    field = np.maximum(field, -circle(rho * np.cos(turn) - distance, rho * np.sin(turn), size))
    s.put(field, tone, bevel=0.04, bump=0.0003 * noise(m, 0.5), gloss=0.35, shadow=0.6)
    s.put(np.abs(rho - r * 0.85) - 0.012, tone * 0.85, bevel=0.03, lift=0.01)
    return s


def bottle(g: Rng, m: Rng) -> Scene:
    """Bottle top seen from above: rings, some with a dark or bright mouth."""
    s = Scene(g, m, turn=30)
    backdrop(s, g, m)
    rho, tone, r = np.hypot(s.x, s.y), colour(g, 0.1, 0.7, 0.2), g.uniform(0.7, 0.9)
    rim = r
    for _ in range(int(g.integers(3, 6))):
        s.put(
            rho - r,
            tone * g.uniform(0.5, 1.4),
            bevel=g.uniform(0.03, 0.12),
            gloss=g.uniform(0.2, 0.8),
            shadow=0.3,
        )
        r *= g.uniform(0.7, 0.9)
    s.put(rho - r, colour(g, 0.0, 1.0, 0.1) * (1 + 0.1 * noise(m, 1.5))[..., None], bevel=0.02, lift=-0.1)
    ticks = int(g.integers(0, 90))
    if ticks > 30:
        s.albedo *= 1 - 0.25 * ((rho > r * 1.5) * (rho < rim) * (np.cos(ticks * np.arctan2(s.y, s.x)) > 0.4))[..., None]
    return s


def capsule(g: Rng, m: Rng) -> Scene:
    """Two-coloured capsule or round, oval, scored pill."""
    s = Scene(g, m, turn=5)
    backdrop(s, g, m)
    tone, second_tone, kind = colour(g, 0.3, 0.9, 0.3), colour(g, 0.3, 0.95, 0.2), g.integers(3)
    w, h = g.uniform(0.6, 0.8), g.uniform(0.22, 0.4)
    field = box(s.x, s.y, w, h, h) if kind else circle(s.x, s.y, w)
    speck = g.choice([0.0, 0.0, 0.12]) * (noise(m, 0.1) > 2.2)
    skin = np.where((s.x > 0)[..., None] & bool(kind == 1), second_tone, tone) * (1 - speck)[..., None]
    s.put(field, skin, bevel=h if kind else g.uniform(0.1, 0.4), gloss=g.uniform(0.1, 0.9), shadow=0.6)
    if kind == 1:
        s.put(np.maximum(field + 0.004, np.abs(s.x) - 0.008), second_tone * 0.8, bevel=h)
    elif g.random() < 0.6:
        s.height -= 0.03 * np.exp(-((s.x / 0.02) ** 2)) * (field < -0.08)
    for at in np.arange(g.integers(0, 5)) * 0.14 - 0.5:
        letter = np.minimum(
            box(s.x - at, s.y, 0.012, 0.07), box(s.x - at - 0.03, s.y - g.uniform(-0.06, 0.06), 0.03, 0.012)
        )
        s.albedo *= 1 - 0.6 * np.clip(0.5 - letter / PIXEL, 0, 1)[..., None]
    return s


def cable(g: Rng, m: Rng) -> Scene:
    """Cross section of a cable: mantle, coloured insulation, strands."""
    s = Scene(g, m, turn=4)
    backdrop(s, g, m)
    s.put(circle(s.x, s.y, 0.85), colour(g, 0.1, 0.8), bevel=0.05, bump=0.0003 * noise(m, 0.4), shadow=0.4)
    count = int(g.integers(2, 8))
    around, r = 0.85 * (0.5 if count < 5 else 0.58), 0.85 * min(0.38, 1.55 / count)
    strands, first = int(g.integers(3, 7)), g.uniform(0, 6)
    for i in range(count):
        cx, cy = (
            around * np.cos(first + 2 * np.pi * i / count),
            around * np.sin(first + 2 * np.pi * i / count),
        )
        x, y = s.x - cx - m.normal(0, 0.006), s.y - cy - m.normal(0, 0.006)
        s.put(circle(x, y, r), colour(g, 0.2, 0.8, 0.35), bevel=0.03, lift=0.02)
        s.put(circle(x, y, r * 0.68), np.full(3, 0.12), bevel=0.01)
        size = r * 0.66 / strands
        row = np.round(y / (size * 1.74))
        bx = np.mod(x + row * size + size, 2 * size) - size + m.normal(0, size * 0.05)
        wire = np.maximum(circle(bx, y - row * size * 1.74, size * 0.94), circle(x, y, r * 0.64))
        s.put(wire, np.array([0.75, 0.48, 0.3]), bevel=size, lift=0.02, gloss=0.5)
    return s


def board(g: Rng, m: Rng) -> Scene:
    """Circuit board: traces, pads, chips, and small parts."""
    s = Scene(g, m, turn=1)
    base = np.array([[0.05, 0.3, 0.14], [0.06, 0.14, 0.38], [0.1, 0.1, 0.1], [0.4, 0.08, 0.08]])[g.integers(4)]
    s.albedo[:] = base * (1 + 0.03 * noise(m, 0.3))[..., None]
    for _ in range(int(g.integers(10, 26))):
        flat, at, start = g.random() < 0.5, np.round(g.uniform(-1, 1) * 20) / 20, g.uniform(-1.2, 0.8)
        x, y = (s.x, s.y) if flat else (s.y, s.x)
        bend = at + 0.15 * np.clip((x - start) / 0.15, 0, 1) * g.choice([-1, 1])
        trace = np.maximum((np.abs(y - bend) - 0.012) * 0.8, np.abs(x - start) - g.uniform(0.3, 0.9))
        s.put(trace, np.clip(base * 1.6 + 0.04, 0, 1), bevel=0.01, gloss=0.2)
    for _ in range(int(g.integers(15, 50))):
        x, y = s.x - np.round(g.uniform(-1, 1) * 12) / 12, s.y - np.round(g.uniform(-1, 1) * 12) / 12
        s.put(
            np.maximum(circle(x, y, 0.032), -circle(x, y, 0.014)),
            np.array([0.8, 0.72, 0.5]),
            bevel=0.01,
            gloss=0.6,
        )
    for _ in range(int(g.integers(2, 9))):
        x, y = s.x - g.uniform(-0.8, 0.8), s.y - g.uniform(-0.8, 0.8)
        x, y = (x, y) if g.random() < 0.5 else (y, x)
        w, h = g.uniform(0.08, 0.26), g.uniform(0.05, 0.2)
        x, y = x + m.normal(0, 0.004), y + m.normal(0, 0.004)
        legs = np.maximum(box(x, y, w * 0.95, h + 0.05), np.abs(np.mod(x, 0.06) - 0.03) - 0.012)
        s.put(legs, np.full(3, 0.75), bevel=0.01, gloss=0.6)
        s.put(
            box(x, y, w, h, 0.01),
            colour(g, 0.05, 0.2) if w > 0.13 else colour(g, 0.1, 0.8),
            bevel=0.02,
            lift=0.05,
            shadow=0.5,
        )
    return s


def heap(g: Rng, m: Rng) -> Scene:
    """Identical small parts in a regular tray or side by side: beads, tablets, rods, caps."""
    s = Scene(g, m, turn=2)
    n, kind, tone, gap = int(g.integers(2, 7)), g.integers(3), colour(g, 0.2, 0.9, 0.3), g.uniform(0.7, 0.95)
    cell = 2.0 / n
    row = np.floor(s.y / cell)
    x = np.mod(s.x + (row % 2) * cell / 2 * (g.random() < 0.5), cell) - cell / 2
    y = np.mod(s.y, cell) - cell / 2
    r = cell / 2 * gap
    field = [circle(x, y, r), box(x, y, r, r * 0.7, r * 0.3), ngon(x, y, r * 0.85, 6)][kind]
    s.put(field + r * 0.1, tone, bevel=r * g.uniform(0.2, 1), gloss=g.uniform(0.1, 0.8), shadow=0.5)
    if g.random() < 0.5:
        s.put(circle(x, y, r * 0.35), tone * 0.5, bevel=r * 0.2)
    return s


def ellipses(g: Rng, m: Rng) -> Scene:
    """Grainy grey scan: a body outline, organs as nested ellipses, speckle."""
    s = Scene(g, m, turn=4)
    warp = 0.05 * noise(g, 2.0) + 0.008 * noise(m, 2.0)
    x, y = s.x + warp, s.y + np.roll(warp, S // 3, 0)
    s.albedo[:] = 0.03
    s.put(box(x, y, 0.88, g.uniform(0.6, 0.85), 0.58), np.full(3, g.uniform(0.5, 0.95)), bevel=0.001, gloss=0)
    s.put(box(x, y, 0.83, 0.7, 0.55), np.full(3, g.uniform(0.25, 0.5)), bevel=0.001, gloss=0)
    for _ in range(int(g.integers(4, 14))):
        cx, cy, a, b = (
            g.uniform(-0.55, 0.55),
            g.uniform(-0.45, 0.45),
            g.uniform(0.05, 0.3),
            g.uniform(0.05, 0.25),
        )
        t, tone = g.uniform(0, np.pi), np.full(3, g.uniform(0.1, 0.85))
        u, v = x - cx - m.normal(0, 0.012), y - cy - m.normal(0, 0.012)
        u, v = np.cos(t) * u + np.sin(t) * v, -np.sin(t) * u + np.cos(t) * v
        s.put((np.hypot(u / a, v / b) - 1) * min(a, b), tone, bevel=0.001, gloss=0)
    soft = ndimage.gaussian_filter(s.albedo, (g.uniform(1, 7),) * 2 + (0,))
    speckle = 1 + g.uniform(0.05, 0.3) * noise(m, g.uniform(0.0, 0.9))
    s.albedo = np.repeat(np.clip(soft[..., :1] * speckle[..., None], 0, 1), 3, -1)
    s.height[:], s.shade[:] = 0, 1
    return s


DRAWINGS: tuple[Callable[[Rng, Rng], Scene], ...] = (
    screw,
    fabric,
    nut,
    leather,
    gear,
    sheet,
    bottle,
    wood,
    capsule,
    tiles,
    cable,
    mesh,
    board,
    fibres,
    heap,
    panel,
    ellipses,
)


def draw_group(number: int, members: int, seed: int) -> list[NDArray[np.uint8]]:
    """Return the images of one group; its number chooses the drawing in turn."""
    draw = DRAWINGS[number % len(DRAWINGS)]
    images = []
    for member in range(members):
        g, m = np.random.default_rng([seed, 7, number]), np.random.default_rng([seed, 8, number, member])
        scene = draw(g, m)
        images.append(scene.render(g, m))
    return images
