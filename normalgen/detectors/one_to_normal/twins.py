"""Makes the normal twin of each query: the customized model noises and denoises it (Li et al. 2024, Eq. 2-3).

Pose, light and layout stay; content that no normal image shows does not come back. Each prompt gives one candidate, and
the one most like its query is the twin; a detector may use all candidates.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import interpolate

import normalgen
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import Images, Photo, stacked, to_pil, to_tensor
from normalgen.io.cache import KeptFiles
from normalgen.settings.prompts import prompt_set

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

__all__ = ["Personalizer", "Twins", "similarity"]

COMPARED, KEY = 240, 24


@dataclass(frozen=True)
class Twins:
    """A batch of queries with their candidate twins.

    Attributes:
        queries: (N, 3, S, S) in [0, 1].
        candidates: (N, P, 3, S, S) in [0, 1], one per prompt.
        similarities: (N, P), SSIM of each candidate and its query.
    """

    queries: Tensor
    candidates: Tensor
    similarities: Tensor

    @property
    def twins(self) -> Tensor:
        """For each query the candidate most like it, (N, 3, S, S).

        Differs: the paper's Eq. 3 takes the argmin of a loss that "is SSIM". It cannot mean the least similar image, so
        we read the loss as 1 - SSIM. `OneToNormal(choice=...)` can compare with all candidates instead.
        """
        return self.candidates[torch.arange(len(self.queries)), self.similarities.argmax(1)]


class Personalizer:
    """Makes twins with one model, and caches them.

    A twin depends only on model, image, prompts, strength, steps and seed; the rest of its batch may change the last
    digit. The cache keeps twins of different device types, precisions and versions apart.

    Args:
        model: customized on the queries' category; its preset's `twins` holds the settings.
        seed: decides the noise of an image, with the image's hash.
        cache: folder of cached candidates; None caches none.
        limit: most bytes in `cache`; beyond it, the least recently used candidates are removed.

    Raises:
        PresetError: a twin would take no step, or fewer than `twins.steps`.
    """

    def __init__(
        self, model: "NormalModel", *, seed: int = 0, cache: Path | None = None, limit: int = 4_000_000_000
    ) -> None:
        model.preset.check_twins()
        self.model = model
        self.prompts = prompt_set(model.preset.twins.prompts)
        self.seed = seed
        self.folder = None if cache is None else cache / self.key
        self.files = None if cache is None else KeptFiles(cache, f"{'?' * KEY}/*", limit)

    @property
    def key(self) -> str:
        """A digest of everything but the query that a twin depends on."""
        model = self.model
        asked = [self.prompts, self.seed, model.preset.deciding("twins")]
        machine = [model.device.partition(":")[0], model.half, normalgen.__version__, torch.__version__]
        made = [model.digest, model.noun, model.grey, *asked, *machine]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()[:KEY]

    def batches(self, images: Images, batch: int = 8) -> Iterator[Twins]:
        """Yield the twins of all images, in order, `batch` at a time."""
        return map(self.personalize_photos, images.photos(self.model.preset.size, batch))

    def personalize(self, images: Images) -> Twins:
        """Return the twins of a few images, in one batch."""
        (made,) = self.batches(images, len(images))
        return made

    def personalize_photos(self, photos: Sequence[Photo]) -> Twins:
        """Return the twins of photos read at the model's size."""
        return self.of(stacked(photos), [photo.key for photo in photos])

    def of(self, queries: Tensor, keys: Sequence[str]) -> Twins:
        """Return the twins of `queries` (N, 3, S, S) in [0, 1]; `keys` name them and seed their noise."""
        paths = [self._paths(query, key) for query, key in zip(queries, keys, strict=True)]
        cached = [self._kept(files) for files in paths]
        missing = [index for index, images in enumerate(cached) if images is None]
        made = self._make(queries, keys) if missing else []
        for index in missing:
            cached[index] = made[index]
            self._keep(paths[index], made[index])
        candidates = torch.stack([images for images in cached if images is not None])
        rows = [
            [similarity(query, image) for image in images] for query, images in zip(queries, candidates, strict=True)
        ]
        return Twins(queries, candidates, torch.tensor(rows))

    def _make(self, queries: Tensor, keys: Sequence[str]) -> Sequence[Tensor]:
        """Return the candidates (P, 3, S, S) of each query, made in one batch, as 8-bit values.

        Never of the missing ones alone: in a smaller batch, as after a kill, the last digits may differ.
        """
        count, twins = len(self.prompts), self.model.preset.twins
        made = self.model.restore(
            queries.repeat_interleave(count, 0),
            prompts=[*self.prompts] * len(queries),
            strength=twins.strength,
            seed=self.seed,
            indices=[key for key in keys for _ in range(count)],
            explicit=twins.steps,
        )
        return torch.split((made * 255).round() / 255, count)

    def _paths(self, query: Tensor, key: str) -> list[Path]:
        """Return a query's cache files, named by key and pixels: a key may recur with other pixels."""
        if self.folder is None:
            return []
        name = hashlib.sha256(key.encode() + query.cpu().contiguous().numpy().tobytes()).hexdigest()[:32]
        return [self.folder / f"{name}-{i}.png" for i in range(len(self.prompts))]

    def _kept(self, paths: list[Path]) -> Tensor | None:
        if self.files is None:
            return None
        read = [self.files.read(path, self._decode) for path in paths]
        images = [image for image in read if image is not None]
        return torch.stack(images) if len(images) == len(paths) else None

    def _decode(self, data: bytes) -> Tensor:
        return to_tensor(decode(ImageItem("twin", "twin", lambda: data)), self.model.preset.size)

    def _keep(self, paths: list[Path], candidates: Tensor) -> None:
        if self.files is None:
            return
        for path, image in zip(paths, candidates, strict=True):
            data = BytesIO()
            to_pil(image).save(data, format="png")
            self.files.keep(path, data.getvalue())


def similarity(first: Tensor, second: Tensor) -> float:
    """Return SSIM (Wang et al. 2004) of the brightness of two images (3, S, S), at 240 px at most; 1 if identical."""
    pair = [_brightness(image) for image in (first, second)]
    ssim: np.floating = structural_similarity(
        *pair, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(ssim)


def _brightness(image: Tensor) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    grey = (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    if image.shape[-1] > COMPARED:
        grey = interpolate(grey[None, None], (COMPARED, COMPARED), mode="bilinear", antialias=True)[0, 0]
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]] = grey.numpy()
    return values
