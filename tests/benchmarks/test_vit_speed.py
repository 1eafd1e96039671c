"""How near the embedded ViT comes to what matrix products of the same shapes reach, in the same run.

Run with: pytest -m benchmark -s tests/benchmarks/test_vit_speed.py
"""

import time
from collections.abc import Callable

import pytest
import torch

from normalgen.features.embedded_vit import BLOCKS, PATCH, SIZE, VitFeatures

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

BATCH, WIDTH, HEADS, ROUNDS = 8, 384, 6, 7
TOKENS, DEPTH = (SIZE // PATCH) ** 2 + 1, max(BLOCKS) + 1
SHAPES = ((WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH))


def products() -> Callable[[], None]:
    pairs = [(torch.rand(BATCH * TOKENS, rows), torch.rand(rows, columns)) for rows, columns in SHAPES]
    heads = torch.rand(BATCH * HEADS, TOKENS, WIDTH // HEADS)

    def run() -> None:
        for _ in range(DEPTH):
            for left, right in pairs:
                left @ right
            (heads @ heads.transpose(1, 2)) @ heads

    return run


def test_the_vit_reaches_seven_tenths_of_the_speed_of_its_matrix_products() -> None:
    features, images = VitFeatures(), torch.rand(BATCH, 3, SIZE, SIZE)
    contestants = {"vit": lambda: features.tokens(images), "products": products()}
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            begun = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - begun)
    print(
        f"\n{best['vit'] / BATCH * 1e3:.0f} ms per image, {best['products'] / best['vit']:.2f} of the products' speed"
    )
    assert best["products"] / best["vit"] > 0.7
