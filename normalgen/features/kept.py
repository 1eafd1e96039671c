"""Patch vectors kept on disk, so that images which many detectors look at are looked at once."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from normalgen.features.base import Features
from normalgen.files import PARTIAL

__all__ = ["KeptFeatures"]


class KeptFeatures:
    """`network`, whose tokens of an image are taken from disk where they were computed before.

    Tokens are called by the image's pixels and the network's name, so they never go stale. On average at most `limit`
    bytes are kept: where there are more, those that were not looked at for longest go.

    Args:
        network: what looks.
        folder: of these files alone; several processes may share it.
        limit: bytes.
    """

    def __init__(self, network: Features, folder: Path, limit: int = 4_000_000_000) -> None:
        self.network, self.folder, self.limit = network, folder, limit
        self.name, self.size, self.text = network.name, network.size, network.text
        self.room = 0

    def image(self, images: Tensor) -> Tensor:
        """As the network's own."""
        return self.network.image(images)

    def tokens(self, images: Tensor) -> list[Tensor]:
        """As the network's own, on the images' device."""
        paths = [self._path(image) for image in images]
        found = [_read(path) for path in paths]
        missing = [place for place, levels in enumerate(found) if levels is None]
        if missing:
            made = [level.cpu() for level in self.network.tokens(images[missing])]
            for row, place in enumerate(missing):
                found[place] = [level[row] for level in made]
                self._keep(paths[place], [level[row] for level in made])
        levels = zip(*(each for each in found if each is not None), strict=True)
        return [torch.stack(level).to(images.device) for level in levels]

    def _path(self, image: Tensor) -> Path:
        pixels = image.detach().contiguous().cpu().numpy()
        digest = hashlib.sha256(f"{self.name} {pixels.shape}".encode() + pixels.tobytes()).hexdigest()[:40]
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def _keep(self, path: Path, levels: list[Tensor]) -> None:
        data = save({str(i): level.contiguous() for i, level in enumerate(levels)})
        if self.room < len(data):
            self.room = self._make_room()
        self.room -= len(data)
        partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
        with suppress(OSError):  # not flushed: what a power cut spoils is computed again
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(path)

    def _make_room(self) -> int:
        """How many bytes may be written before room is to be made again; removes the files of longest ago."""
        files = sorted(self._files())
        total, least = sum(size for _, size, _ in files), self.limit // 10
        for _, size, path in files:
            if total <= self.limit - least:
                break
            path.unlink(missing_ok=True)
            total -= size
        return max(least, 1)

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.folder.glob("??/*"):
            with suppress(OSError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path


def _read(path: Path) -> list[Tensor] | None:
    try:
        held = load_file(path)
        os.utime(path)
    except (OSError, SafetensorError):
        return None
    return [held[str(i)] for i in range(len(held))]
