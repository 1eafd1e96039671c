"""Patch vectors on disk: an image that several detectors use goes through the network once."""

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
    """`network`, with the tokens of each image cached on disk.

    The key is the image's pixels, the network's name and size, and normalgen's version, so tokens never go stale. The
    cache averages at most `limit` bytes: above that, the least recently used tokens are removed.

    Args:
        network: computes the missing tokens.
        folder: holds only these files; several processes may share it.
        limit: bytes.
    """

    def __init__(self, network: Features, folder: Path, limit: int = 4_000_000_000) -> None:
        self.network, self.folder = network, folder
        self.name, self.size, self.shares, self.text = network.name, network.size, network.shares, network.text
        self.files = KeptFiles(folder, "??/*", limit)

    def image(self, images: Tensor) -> Tensor:
        """Return what `network.image` returns; not cached."""
        return self.network.image(images)

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return what `network.tokens` returns, on the images' device."""
        paths = [self._path(image) for image in images]
        tokens = [self.files.read(path, _levels) for path in paths]
        missing = [index for index, levels in enumerate(tokens) if levels is None]
        if missing:  # the whole batch: in a smaller one, as after a kill, the last digits may differ
            made = [level.cpu() for level in self.network.tokens(images)]
            for index in missing:
                tokens[index] = [level[index] for level in made]
                named = {str(i): level[index].contiguous() for i, level in enumerate(made)}
                self.files.keep(paths[index], save(named))
        levels = zip(*(levels for levels in tokens if levels is not None), strict=True)
        return [torch.stack(level).to(images.device) for level in levels]

    def _path(self, image: Tensor) -> Path:
        pixels = image.detach().contiguous().cpu().numpy()
        key = f"{self.name} {self.size} {normalgen.__version__} {pixels.shape}"
        digest = hashlib.sha256(key.encode() + pixels.tobytes()).hexdigest()[:40]
        return self.folder / digest[:2] / f"{digest}.safetensors"


def _levels(data: bytes) -> list[Tensor]:
    tensors = load(data)
    return [tensors[str(i)] for i in range(len(tensors))]
