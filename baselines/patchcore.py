"""PatchCore: distances to the nearest patch of a bank of normal ones (Roth et al., CVPR 2022).

Source: arXiv 2106.08265, and its authors' code, github.com/amazon-science/patchcore-inspection: layers 2 and 3 of a
Wide ResNet-50-2; each patch with its 3x3 neighbours, zeros beyond the border; per layer and then over both layers,
adaptive average pooling to 1024 values, so that 512 come from each layer; layer 3 brought to layer 2's grid
(bilinear); a greedy coreset of a tenth, chosen by 128 random projections; the distance to the nearest patch, whose
maximum is the image's score; the map is enlarged (bilinear) and blurred by a Gaussian of 4 pixels.

Differs:
- Few patches are all kept: a tenth of two photos' would be 156. From 20,000 on it is a tenth; `paper` always takes it.
- By default a coreset is chosen by true distances, and lower levels are joined by unit length and share, because
  embedded features differ in scale; `paper` projects, and pools them as they are.
- The coreset is truly that of greedy k-centre (`normalgen.features.coreset`): no random starts pose as its members.
- Distances are Euclidean, as in the paper; the code squares them. Patches and images rank the same.
- The paper's weight of an image's score (Eq. 7, not in the code) is off unless `neighbours` is more than 1. It then
  scales the map as well, so that the highest patch is still the image's score.
- Photos are squashed to a square with the filter of all detectors here, and maps are 0 where `border` is cut off.
- anomalib joins 3x3 means without pooling (`width` 0), weighs scores with `neighbours` 9, and blurs as if the map were
  mirrored without its outermost pixel.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, normalize, pad, unfold

from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.patch_detector import PatchDetector
from normalgen.detectors.smoothing import smoothed
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.contract import Features
from normalgen.features.coreset import greedy_coreset, projection
from normalgen.features.inner import InnerFeatures
from normalgen.features.memory_bank import MemoryBank
from normalgen.references import References

__all__ = ["PatchCore", "weights"]

FEW, TENTH = 20_000, 0.1
MANY, PROJECTIONS = 200_000, 128


@dataclass(kw_only=True)
class PatchCore(PatchDetector):
    """Scores each patch by its distance to the nearest normal one, wherever that is in an image.

    Args:
        layers: of timm's networks, vit or dinov2, as in `open_features`; None: the features' own.
        border: pixels at each side that are cut off before the features see the image.
        neighbourhood: rows and columns that a patch is averaged over; odd.
        width: how many values a patch has: those of its neighbourhood are pooled to them, by level and then over
            levels; 0: each channel is averaged over the neighbourhood.
        scaled: scale each level of a patch to unit length, times the root of its share in the features.
        coreset_ratio: share of the patches to keep, in (0, 1]; "auto": all of up to 20,000, else a tenth.
        projection: random projections to choose the coreset by, so that memory holds these instead of all patches
            while it is chosen, and each image goes through the network twice; 0: true distances; "auto": 128 for more
            than 200,000 patches, else 0.
        neighbours: patches of the bank near the nearest one that the score's weight takes into account; 1: no weight.
        sigma: deviation of the map's blur, in pixels of the features' input; 0: none.
    """

    name: ClassVar[str] = "patchcore"
    smaller: ClassVar[str] = "set projection to 128 and coreset_ratio to 0.01"

    layers: list[int] | None = None
    border: int = 0
    neighbourhood: int = 3
    width: int = 0
    scaled: bool = True
    coreset_ratio: float | Literal["auto"] = "auto"
    projection: int | Literal["auto"] = "auto"
    neighbours: int = 1
    sigma: float = 4.0
    bank_: MemoryBank | None = field(default=None, init=False, repr=False)

    @classmethod
    def paper(cls, features: str = "timm:wide_resnet50_2.tv_in1k", **changes: Any) -> Self:
        """Return the detector with the paper's settings: 256 pixels, of which the middle 224, and a tenth of the bank.

        Args:
            features: any ResNet of timm; add ":FILE" for weights without a download.
            changes: other settings, such as `device`.
        """
        seen = {"features": features, "layers": [2, 3], "features_size": 224, "border": 16, "width": 1024}
        return cls(**{**seen, "scaled": False, "coreset_ratio": 0.1, "projection": 128, **changes})

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a number is out of range, or the features have an unknown name.
        """
        super().check()
        least_of = {"border": 0, "neighbourhood": 1, "width": 0, "neighbours": 1}
        for name, least in (least_of | ({} if self.projection == "auto" else {"projection": 0})).items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise PresetError(f"patchcore: {name} must be a whole number of at least {least}, got {value!r}")
        if self.neighbourhood % 2 == 0:
            raise PresetError(f"patchcore: neighbourhood must be odd, got {self.neighbourhood}")
        ratio = self.coreset_ratio
        if ratio != "auto" and not (isinstance(ratio, float | int) and 0 < ratio <= 1):
            raise PresetError(f"patchcore: coreset_ratio must be auto, or a number in (0, 1], got {ratio!r}")
        if not isinstance(self.sigma, float | int) or not 0 <= self.sigma <= 100:
            raise PresetError(f"patchcore: sigma must be in [0, 100] pixels, got {self.sigma!r}")

    def network(self) -> Features:
        """Return the features of the image without its border, opened with the layers."""
        network = self._opened(self.layers)
        return InnerFeatures(network, self.border) if self.border else network

    def _learn(self, network: Features, known: Known, references: References) -> dict[str, Tensor]:
        images = torch.cat([known.photos, known.drawn])
        cells, channels = self._shape(network)
        total = len(images) * cells
        count = self._count(total)
        if count < len(images):
            raise PresetError(
                f"patchcore: coreset_ratio {self.coreset_ratio} keeps {count} of {total} patches, fewer than there are "
                "images; raise it"
            )
        if count == total:
            vectors, chosen = self._all(network, images, total), torch.arange(total)
        elif not (dimensions := self._dimensions(total)):
            every = self._all(network, images, total)
            chosen = greedy_coreset(every, count, seed=self.seed).sort().values
            vectors = every[chosen]
        else:
            drawn = projection(channels, dimensions, self.seed).to(self.device)
            chosen = greedy_coreset(self._all(network, images, total, drawn), count, seed=self.seed).sort().values
            vectors = self._again(network, images, chosen, cells)
        return {"vectors": vectors.cpu(), "sources": torch.tensor(known.sources)[chosen.cpu() // cells]}

    def _take(self, tensors: dict[str, Tensor]) -> None:
        self.bank_ = MemoryBank(tensors["vectors"].to(self.device))

    def _maps(self, images: Tensor, without: int | None) -> Tensor:
        bank, patches = self._bank(without), self._patches(self._ready().network, images)
        maps = bank.distances(patches)
        if self.neighbours == 1:
            return maps
        return maps * weights(bank.vectors, patches.to(self.device), maps, self.neighbours)[:, None, None]

    def _judge(self, images: Tensor, without: int | None) -> tuple[Tensor, Tensor]:
        maps = self._maps(images, without).cpu()
        shown = smoothed(maps, self._ready().network.size - 2 * self.border, self.sigma)
        return self._scores(maps), pad(shown, (self.border,) * 4)

    def _bank(self, without: int | None) -> MemoryBank:
        """Return the bank, or what it holds besides a reference and what was made from it; all if that is nothing."""
        if self.bank_ is None:
            raise NotFittedError("fit the detector first: PatchCore().fit(references, pool)")
        others = None if without is None else self._ready().tensors["sources"] != without
        if others is None or not others.any():
            return self.bank_
        return MemoryBank(self.bank_.vectors[others.to(self.device)])

    def _count(self, total: int) -> int:
        """Return how many of so many patches are kept."""
        auto = 1.0 if total <= FEW else TENTH
        return max(1, int(total * (auto if self.coreset_ratio == "auto" else self.coreset_ratio)))

    def _dimensions(self, total: int) -> int:
        """Return how many projections of so many patches to choose a coreset by; 0 for the patches themselves."""
        if self.projection == "auto":
            return PROJECTIONS if total > MANY else 0
        return self.projection

    def _shape(self, network: Features) -> tuple[int, int]:
        """Return how many patches an image has, and the length of their vectors."""
        _, rows, columns, channels = self._patches(network, torch.zeros(1, 3, network.size, network.size)).shape
        return rows * columns, channels

    def _values(self, network: Features) -> int:
        cells, channels = self._shape(network)
        return cells * (channels if self.projection in (0, "auto") else int(self.projection))

    def _all(self, network: Features, images: Tensor, total: int, drawn: Tensor | None = None) -> Tensor:
        """Return the patches of images, uint8 (N, 3, S, S), as (total, C), or their random projections."""
        result, start = torch.empty(0), 0
        for part in torch.split(images, self.batch):
            vectors = self._patches(network, part.float() / 255).flatten(0, 2).to(self.device)
            vectors = vectors if drawn is None else vectors @ drawn
            result = result if start else vectors.new_empty(total, vectors.shape[1])
            result[start : start + len(vectors)] = vectors
            start += len(vectors)
        return result

    def _again(self, network: Features, images: Tensor, chosen: Tensor, cells: int) -> Tensor:
        """Return the patches with the indices `chosen`, ascending, of images of so many cells."""
        images_of = chosen.cpu() // cells
        kept: list[Tensor] = []
        for start, part in zip(range(0, len(images), self.batch), torch.split(images, self.batch), strict=True):
            rows = chosen.cpu()[(images_of >= start) & (images_of < start + len(part))] - start * cells
            if len(rows):
                kept.append(self._patches(network, part.float() / 255).flatten(0, 2)[rows.to(self.device)])
        return torch.cat(kept)

    def _patches(self, network: Features, images: Tensor) -> Tensor:
        """Return the patches (N, g, g, C) of images (N, 3, S, S) in [0, 1], on the grid of the finest level."""
        levels = [_near(level, self.neighbourhood, self.width) for level in network.tokens(images)]
        grid = max(level.shape[2] for level in levels)
        levels = [
            level if level.shape[2] == grid else interpolate(level, (grid, grid), mode="bilinear") for level in levels
        ]
        if self.scaled:
            levels = [share**0.5 * normalize(level) for share, level in zip(network.shares, levels, strict=True)]
        joined = torch.cat(levels, 1)
        joined = _pooled(joined.flatten(2), self.width).view(len(images), -1, grid, grid) if self.width else joined
        return joined.permute(0, 2, 3, 1)


def weights(bank: Tensor, patches: Tensor, maps: Tensor, neighbours: int) -> Tensor:
    """Return how much the score of each image counts (N,), by the paper's Eq. 7: little among scattered normal patches.

    It is one minus the share that exp |q - m| has, for the patch q with the highest score and its nearest one m, in the
    sum of exp |q - b| over the patches b of the bank that are nearest to m.

    Args:
        bank: vectors (M, C); with fewer than two, all weights are 1.
        patches: of the images (N, h, w, C).
        maps: their distances to the bank (N, h, w).
        neighbours: how many patches b there are, m among them; at least 2.
    """
    if len(bank) < 2:
        return torch.ones(len(maps)).to(maps)
    queries = patches.flatten(1, 2)[torch.arange(len(maps)), maps.flatten(1).argmax(1)]
    nearest, near = bank[torch.cdist(queries, bank).argmin(1)], min(neighbours, len(bank))
    around = bank[torch.cdist(nearest, bank).topk(near, largest=False).indices]
    to_nearest, to_around = (queries - nearest).norm(dim=1), (queries[:, None] - around).norm(dim=2)
    share: Tensor = (to_nearest - to_around.logsumexp(1)).exp()
    return 1 - share


def _near(level: Tensor, side: int, width: int) -> Tensor:
    """Return a level (N, h, w, C) with the `side` x `side` neighbours of each patch, zeros beyond the border.

    Channels (N, C, h, w) are averaged over them; or all values (C, side, side) pooled to `width`, (N, width, h, w).
    """
    maps = level.permute(0, 3, 1, 2)
    if not width:
        return avg_pool2d(maps, side, 1, side // 2)
    return _pooled(unfold(maps, side, padding=side // 2), width).view(len(maps), width, *maps.shape[2:])


def _pooled(values: Tensor, width: int) -> Tensor:
    """Return values (N, C, P) as (N, width, P): means of neighbouring channels."""
    pooled: Tensor = adaptive_avg_pool2d(values[:, None], (width, values.shape[2]))
    return pooled[:, 0]
