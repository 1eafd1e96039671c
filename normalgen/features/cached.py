"""Patch vectors kept on disk, so that images which many detectors look at are looked at once."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

import normalgen
from normalgen.features.contract import Features
from normalgen.io.cache import KeptFiles

__all__ = ["KeptFeatures"]


class KeptFeatures:
    """`network`, whose tokens of an image are taken from disk where they were computed before.

    Tokens are called by the image's pixels, the network's name and size, and normalgen's version: they never go stale.
    On average at most `limit` bytes are kept: where there are more, those that were not looked at for longest go.

    Args:
        network: what looks.
        folder: of these files alone; several processes may share it.
        limit: bytes.
    """

    def __init__(self, network: Features, folder: Path, limit: int = 4_000_000_000) -> None:
        self.network, self.folder = network, folder
        self.name, self.size, self.text = network.name, network.size, network.text
        self.files = KeptFiles(folder, "??/*", limit)

    def image(self, images: Tensor) -> Tensor:
        """As the network's own."""
        return self.network.image(images)

    def tokens(self, images: Tensor) -> list[Tensor]:
        """As the network's own, on the images' device."""
        paths = [self._path(image) for image in images]
        found = [self.files.read(path, _levels) for path in paths]
        missing = [place for place, levels in enumerate(found) if levels is None]
        if missing:
            made = [level.cpu() for level in self.network.tokens(images[missing])]
            for row, place in enumerate(missing):
                found[place] = [level[row] for level in made]
                named = {str(i): level[row].contiguous() for i, level in enumerate(made)}
                self.files.keep(paths[place], save(named))
        levels = zip(*(each for each in found if each is not None), strict=True)
        return [torch.stack(level).to(images.device) for level in levels]

    def _path(self, image: Tensor) -> Path:
        pixels = image.detach().contiguous().cpu().numpy()
        key = f"{self.name} {self.size} {normalgen.__version__} {pixels.shape}"
        digest = hashlib.sha256(key.encode() + pixels.tobytes()).hexdigest()[:40]
        return self.folder / digest[:2] / f"{digest}.safetensors"


def _levels(data: bytes) -> list[Tensor]:
    held = load(data)
    return [held[str(i)] for i in range(len(held))]
