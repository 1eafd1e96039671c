"""Draw photos of an invented part, to try normalgen without your own data.

    python examples/draw_parts.py good --count 4
    python examples/draw_parts.py mixed --count 6 --seed 1 --defective 2

Each photo shows the same bracket, slightly shifted and turned, with new light and grain. A defective bracket lacks a
hole. The pictures are CC0.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE, OVER = 320, 4
METAL, TABLE, HOLE = (168, 172, 178), (88, 74, 62), (52, 46, 42)


def bracket(draw: np.random.Generator, missing: int | None = None) -> Image.Image:
    """Return an L-shaped bracket on a table, with three holes except the `missing` one."""
    canvas = Image.new("RGB", (SIZE * OVER, SIZE * OVER), TABLE)
    pen = ImageDraw.Draw(canvas)
    unit = SIZE * OVER / 100
    middle, turn = 50 + draw.normal(0, 1.2, 2), math.radians(draw.normal(0, 2.5))

    def moved(x: float, y: float) -> tuple[float, float]:
        across, down = (x - 50), (y - 50)
        return (
            (middle[0] + across * math.cos(turn) - down * math.sin(turn)) * unit,
            (middle[1] + across * math.sin(turn) + down * math.cos(turn)) * unit,
        )

    corners = [(22, 18), (44, 18), (44, 58), (80, 58), (80, 80), (22, 80)]
    pen.polygon([moved(x + 1.6, y + 2.2) for x, y in corners], fill=tuple(c // 2 for c in TABLE))
    pen.polygon([moved(x, y) for x, y in corners], fill=METAL)
    for hole, (x, y, radius) in enumerate(((33, 28, 5.0), (33, 69, 5.0), (70, 69, 4.0))):
        if hole == missing:
            continue
        cx, cy = moved(x, y)
        for extra, colour in ((1.4, (206, 210, 214)), (0.0, HOLE)):
            reach = (radius + extra) * unit
            pen.ellipse((cx - reach, cy - reach, cx + reach, cy + reach), fill=colour)
    return canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.6))


def lit(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Return the picture under light from a random side, with brushed grain and camera noise."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    angle = draw.uniform(0, 2 * math.pi)
    light = 1 + draw.uniform(0.05, 0.2) * (x * math.cos(angle) + y * math.sin(angle)) + draw.normal(0, 0.03)
    brushed = draw.normal(0, 4, (SIZE, 1)) + draw.normal(0, 3, (SIZE, SIZE))
    values = np.asarray(image, dtype=np.float64) * light[..., None] + brushed[..., None]
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--defective", type=int, default=0, help="number of photos, the last ones, without a hole")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for i in range(arguments.count):
        draw = np.random.default_rng([arguments.seed, i])
        defective = i >= arguments.count - arguments.defective
        name = f"{'defective' if defective else 'bracket'}-{i:02d}.png"
        lit(bracket(draw, i % 3 if defective else None), draw).save(arguments.folder / name)


if __name__ == "__main__":
    main()
