"""AnomalyDINO: the nearest patch of turned references, by cosine distance, in the last layer of a vision transformer.

Source: Damm et al., "AnomalyDINO: Boosting Patch-based Few-shot Anomaly Detection with DINOv2", WACV 2025, and
github.com/dammsi/AnomalyDINO. DINOv2 ViT-S/14, shorter edge 448 (bicubic), last layer after the norm. References turned
by 0, 45, ... 315 degrees with mirrored borders, for every object ("agnostic"). 1 - cosine to the nearest patch.
Queries alone may be masked: the first principal component of their own patches above 10, or its negative if that keeps
at most 35 % of the middle; dilated and closed by 3 x 3; what is masked is at distance 0. Masked are capsule, hazelnut,
pill, screw and toothbrush of MVTec AD, and all of VisA. Image score: mean of the highest 1 % of all positions, rounded
down. Maps: bilinear, then a Gaussian of 4 pixels.

Differs:
    Images are squashed to a square; the paper keeps their proportions and cuts to whole patches.
    Photos turn in their own proportions after they are squashed; the paper turns before it resizes.
    Unless `border` is "mirrored", a view shows the part whole, or only real pixels.
    Without `layers`, "vit", "dinov2" and "embedded" use their middle blocks: those of "vit" come from DINOv2 but were
    trained further for saliency, which changed the last ones.
    The foreground is where the component is positive, which holds in any features' units; `paper` says 10.
    A query without any foreground is not masked: the paper scores it 0 whatever it shows.
    Maps have the size of the features' input, not of the photo.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from normalgen.baselines.turned import normal_images
from torch import Tensor
from torch.nn.functional import max_pool2d

from normalgen.detectors.map_scores import top_mean
from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.patch_detector import PatchDetector
from normalgen.detectors.smoothing import smoothed
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.contract import Features
from normalgen.features.memory_bank import MemoryBank
from normalgen.features.patches import joined
from normalgen.images.augment import Border
from normalgen.images.turning import STEPS
from normalgen.references import References

__all__ = ["AnomalyDINO", "foreground"]

LAST = [-1]
Masking = Literal["off", "on"]
SIGMA = 4.0
BORDER, LEAST = 0.2, 0.35
"""Share of a map on each side that is not its middle, and the share of the middle that a foreground keeps."""


@dataclass(kw_only=True)
class AnomalyDINO(PatchDetector):
    """Scores queries by the cosine distances of their patches to the nearest patches of turned references and pool.

    Args:
        layers: blocks of timm, vit or dinov2; None: the last one of timm, and the default of other features.
        rotations: views per reference, turned by equal angles; 1 for the reference alone. Pools are not turned.
        border: what turned views show beyond the photo, see `normalgen.images.augment.Border`.
        masking: "on" ignores the background of queries, for an object in front of one.
        threshold: where the foreground begins, in units of the features' first principal component.
    """

    name: ClassVar[str] = "anomalydino"
    smaller: ClassVar[str] = "lower rotations or features_size"

    layers: list[int] | None = None
    rotations: int = 8
    border: Border = "whole"
    masking: Masking = "off"
    threshold: float = 0.0
    bank_: MemoryBank | None = field(default=None, init=False, repr=False)

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """Return the detector with the paper's settings, and `changes`, such as `masking="on"`."""
        size = {"features": "timm:vit_small_patch14_dinov2.lvd142m", "features_size": 448}
        return cls(**{**size, "border": "mirrored", "threshold": 10.0, **changes})

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a value is out of range, or the features have an unknown name.
        """
        super().check()
        if not isinstance(self.rotations, int) or not 1 <= self.rotations <= STEPS:
            raise PresetError(f"{self.name}: rotations must be a number from 1 to {STEPS}, got {self.rotations!r}")
        if self.border not in get_args(Border):
            raise PresetError(f"{self.name}: border must be one of {', '.join(get_args(Border))}, got {self.border!r}")
        if self.masking not in get_args(Masking):
            raise PresetError(f"{self.name}: masking must be off or on, got {self.masking!r}")

    def network(self) -> Features:
        """Return the features, opened with their layers."""
        return self._opened(self.layers or (LAST if self.features.startswith("timm:") else None))

    def _learn(self, network: Features, known: Known, references: References) -> dict[str, Tensor]:
        def step(owner: int, tile: int, view: int) -> int:
            return round((view + 1) * STEPS / self.rotations)

        vectors: list[Tensor] = []
        sources: list[int] = []
        for owners, images in normal_images(known, self.rotations - 1, step, self.border, self.batch):
            vectors.append(_vectors(network, network.tokens(images)))
            sources += owners
        return {"vectors": torch.cat(vectors), "sources": torch.tensor(sources)}

    @property
    def _views(self) -> int:
        return self.rotations

    def _take(self, tensors: dict[str, Tensor]) -> None:
        self.bank_ = MemoryBank(tensors["vectors"].to(self.device))

    def _maps(self, images: Tensor, without: int | None) -> Tensor:
        network = self._ready().network
        levels = network.tokens(images)
        maps = self._bank(without).distances(_vectors(network, levels)).square() / 2
        return maps if self.masking == "off" else maps * foreground(levels[0], self.threshold).to(maps.device)

    def _judge(self, images: Tensor, without: int | None) -> tuple[Tensor, Tensor]:
        maps = self._maps(images, without).cpu()
        return top_mean(maps), smoothed(maps, self._ready().network.size, SIGMA)

    def _bank(self, without: int | None) -> MemoryBank:
        if self.bank_ is None:
            raise NotFittedError("fit the detector first: AnomalyDINO().fit(references, pool)")
        if without is None:
            return self.bank_
        tensors = self._ready().tensors
        return MemoryBank(tensors["vectors"][tensors["sources"] != without].to(self.device))


def foreground(tokens: Tensor, threshold: float) -> Tensor:
    """Return where the object of each image is, bool (N, h, w), from its patch vectors (N, h, w, C).

    The sign of the component is that of its largest entry, as in scikit-learn.
    """
    count, rows, columns, _ = tokens.shape
    centred = tokens.float().flatten(1, 2)
    centred = centred - centred.mean(1, keepdim=True)
    first = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, :, -1:]
    first = first * first.gather(1, first.abs().argmax(1, keepdim=True)).sign()
    component = (centred @ first).view(count, rows, columns)
    top, left = int(rows * BORDER), int(columns * BORDER)
    middle = component[:, top : int(rows * (1 - BORDER)), left : int(columns * (1 - BORDER))]
    kept = (middle > threshold).float().mean((1, 2), keepdim=True)
    mask = torch.where(kept <= LEAST, -component, component) > threshold
    grown = _dilated(mask[:, None].float())
    closed = -_dilated(-_dilated(grown))
    return (closed[:, 0] > 0) | ~mask.any(2, keepdim=True).any(1, keepdim=True)


def _dilated(maps: Tensor) -> Tensor:
    return max_pool2d(maps, 3, 1, 1)


def _vectors(network: Features, levels: list[Tensor]) -> Tensor:
    """Return one vector of unit length per patch (N, h, w, C), on the grid of the first level."""
    return joined(levels, network.shares, levels[0].shape[1])
