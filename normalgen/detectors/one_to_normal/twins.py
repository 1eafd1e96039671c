"""Each query's normal twin: the query noised and denoised by the customized model (Li et al. 2024, Eq. 2-3).

Pose, light and layout stay; what no normal image shows does not come back. One candidate a prompt is made, and the one
most like its query is the twin; a detector may look at all of them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import interpolate

import normalgen
from normalgen.diffusion.model import NormalModel
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import Images, Photo, stacked, to_pil, to_tensor
from normalgen.io.cache import KeptFiles
from normalgen.settings.prompts import prompt_set

__all__ = ["Personalizer", "Twins", "similarity"]

COMPARED, KEY = 240, 24


@dataclass(frozen=True)
class Twins:
    """What a batch of queries became.

    Attributes:
        queries: (N, 3, S, S) in [0, 1].
        candidates: (N, P, 3, S, S) in [0, 1], one a prompt.
        similarities: SSIM of each candidate and its query (N, P).
    """

    queries: Tensor
    candidates: Tensor
    similarities: Tensor

    @property
    def twins(self) -> Tensor:
        """The candidate most like its query, (N, 3, S, S).

        Differs: the paper's Eq. 3 takes the argmin of a loss that "is SSIM"; the least similar image cannot be meant,
        so the loss is read as 1 - SSIM. `OneToNormal(choice=...)` compares with all candidates instead.
        """
        return self.candidates[torch.arange(len(self.queries)), self.similarities.argmax(1)]


class Personalizer:
    """Makes twins with one model, and keeps them.

    A twin depends on model, image, prompts, strength, steps and seed alone, not on what else is in its batch. Those of
    another kind of device, precision or version are kept apart.

    Args:
        model: customized on the queries' category; its preset's `twins` say how.
        seed: with an image's hash decides its noise.
        cache: a folder where candidates are kept; None keeps none.
        limit: bytes that all candidates in `cache` may take; beyond it those not used for longest go.

    Raises:
        PresetError: a twin goes through no step, or through fewer than `twins.steps`.
    """

    def __init__(
        self, model: NormalModel, *, seed: int = 0, cache: Path | None = None, limit: int = 4_000_000_000
    ) -> None:
        model.preset.check_twins()
        self.model = model
        self.prompts = prompt_set(model.preset.twins.prompts)
        self.seed = seed
        self.folder = None if cache is None else cache / self._key()
        self.files = None if cache is None else KeptFiles(cache, f"{'?' * KEY}/*", limit)

    def _key(self) -> str:
        model = self.model
        asked = [self.prompts, self.seed, model.preset.deciding("twins")]
        machine = [model.device.partition(":")[0], model.half, normalgen.__version__, torch.__version__]
        made = [model.digest, model.noun, model.grey, *asked, *machine]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()[:KEY]

    def batches(self, images: Images, batch: int = 8) -> Iterator[Twins]:
        """The twins of all images, in order, `batch` at a time."""
        return map(self.personalize_photos, images.photos(self.model.preset.size, batch))

    def personalize(self, images: Images) -> Twins:
        """The twins of a few images."""
        (made,) = self.batches(images, len(images))
        return made

    def personalize_photos(self, photos: Sequence[Photo]) -> Twins:
        """The twins of photos that were read at the model's size."""
        return self.of(stacked(photos), [photo.key for photo in photos])

    def of(self, queries: Tensor, keys: Sequence[str]) -> Twins:
        """The twins of `queries` (N, 3, S, S) in [0, 1]; `keys` name them, and with the seed decide their noise."""
        paths = [self._paths(query, key) for query, key in zip(queries, keys, strict=True)]
        found = [self._kept(each) for each in paths]
        missing = [place for place, candidates in enumerate(found) if candidates is None]
        for place, candidates in zip(missing, self._make(queries, keys, missing), strict=True):
            found[place] = candidates
            self._keep(paths[place], candidates)
        candidates = torch.stack([each for each in found if each is not None])
        rows = [[similarity(query, one) for one in each] for query, each in zip(queries, candidates, strict=True)]
        return Twins(queries, candidates, torch.tensor(rows))

    def _make(self, queries: Tensor, keys: Sequence[str], places: list[int]) -> list[Tensor]:
        """The candidates (P, 3, S, S) of the queries at `places`, all in one batch, as 8-bit values."""
        if not places:
            return []
        count, twins = len(self.prompts), self.model.preset.twins
        made = self.model.restore(
            queries[places].repeat_interleave(count, 0),
            prompts=[*self.prompts] * len(places),
            strength=twins.strength,
            seed=self.seed,
            indices=[keys[place] for place in places for _ in range(count)],
            explicit=twins.steps,
        )
        return list(torch.split((made * 255).round() / 255, count))

    def _paths(self, query: Tensor, key: str) -> list[Path]:
        """Where the candidates of a query lie; its pixels decide, too, for a key may come again with other pixels."""
        if self.folder is None:
            return []
        name = hashlib.sha256(key.encode() + query.cpu().contiguous().numpy().tobytes()).hexdigest()[:32]
        return [self.folder / f"{name}-{i}.png" for i in range(len(self.prompts))]

    def _kept(self, paths: list[Path]) -> Tensor | None:
        if self.files is None:
            return None
        read = [self.files.read(path, self._decode) for path in paths]
        found = [image for image in read if image is not None]
        return torch.stack(found) if len(found) == len(paths) else None

    def _decode(self, data: bytes) -> Tensor:
        return to_tensor(decode(ImageItem("twin", "twin", lambda: data)), self.model.preset.size)

    def _keep(self, paths: list[Path], candidates: Tensor) -> None:
        if self.files is None:
            return
        for path, image in zip(paths, candidates, strict=True):
            data = BytesIO()
            to_pil(image).save(data, format="png")
            self.files.keep(path, data.getvalue())


def similarity(one: Tensor, other: Tensor) -> float:
    """SSIM (Wang et al. 2004) of the brightness of two images (3, S, S), at most 240 px wide; 1 for the same image."""
    pairs = [_brightness(image) for image in (one, other)]
    found: np.floating = structural_similarity(
        *pairs, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(found)


def _brightness(image: Tensor) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    grey = (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    if image.shape[-1] > COMPARED:
        grey = interpolate(grey[None, None], (COMPARED, COMPARED), mode="bilinear", antialias=True)[0, 0]
    found: np.ndarray[tuple[int, int], np.dtype[np.float32]] = grey.numpy()
    return found
