"""Drawn parts with marked stains, and features of pixels with a text side, to learn text maps from."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from normalgen.features.contract import TextSide
from normalgen.images.defects import paste
from normalgen.images.images import to_pil
from normalgen.io.rng import generator


class Words:
    """Sentences as sums of random vectors, one a word."""

    width = 12

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, given: list[str]) -> Tensor:
        self.read += given
        rows = [sum(torch.randn(12, generator=generator(word)) for word in each.split()) for each in given]
        return normalize(torch.stack([torch.as_tensor(row) for row in rows]), dim=1)


class Pixels:
    """Patches as the share of each of 11 brightnesses in 4 x 4 and 8 x 8 pixels."""

    def __init__(self, size: int = 64) -> None:
        self.name, self.size = "pixels", size
        self.shares = (0.5, 0.5)
        self.text: TextSide | None = Words()

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> list[Tensor]:
        assert images.shape[-1] == self.size
        steps = torch.linspace(0, 1, 11)[:, None, None]
        shares = (-((images.mean(1, keepdim=True) - steps) ** 2) / 0.01).exp()
        return [avg_pool2d(shares, side).permute(0, 2, 3, 1) for side in (4, 8)]

    def image(self, images: Tensor) -> Tensor:
        return normalize(images.mean((2, 3)), dim=1)


def part(seed: int, size: int = 64) -> Tensor:
    """A grey disc on black, its grain and its middle its own."""
    draw = generator("part", seed)
    y, x = torch.meshgrid(torch.linspace(0, 1, size), torch.linspace(0, 1, size), indexing="ij")
    middle = 0.45 + 0.1 * torch.rand(2, generator=draw)
    disc = ((x - middle[0]) ** 2 + (y - middle[1]) ** 2 < 0.12).float() * 0.5
    return (disc + 0.03 * torch.randn(3, size, size, generator=draw) + 0.05).clamp(0, 1)


def write(root: Path, category: str, count: int = 6) -> Path:
    folder = root / category
    for inside in ("test/good", "test/stain", "ground_truth/stain"):
        (folder / inside).mkdir(parents=True)
    for seed in range(count):
        to_pil(part(seed)).save(folder / f"test/good/{seed}.png")
        image, mask = paste(part(seed + 100), "stain", generator("stain", seed))
        to_pil(image).save(folder / f"test/stain/{seed}.png")
        to_pil(mask.float()[None].expand(3, -1, -1)).save(folder / f"ground_truth/stain/{seed}_mask.png")
    return root
