"""SubspaceAD: the squared distance of each patch to the subspace of normal patches, in the middle of a transformer.

Source: Lendering et al., "SubspaceAD: Training-Free Few-Shot Anomaly Detection via Subspace Modeling", CVPR 2026, and
github.com/CLendering/SubspaceAD. DINOv2 with registers, giant, images squashed to 672 pixels, mean of the hidden states
-12 to -18. Each reference and 30 views of it, turned at random by 0 to 345 degrees with black borders (no views of
transistor). Principal components of all patches that hold 99 % of their variance; the score of a patch is its squared
residual. Maps: bilinear, then a Gaussian of 4 pixels cut to 3 x 3. Image score: mean of the highest 1 % of the pixels.

Differs:
    Photos turn in their own proportions, bicubically, by quarter degrees, after they are squashed.
    Unless `border` is "black", a view shows the part whole, or only real pixels: black corners are not normal.
    Without `layers`, other depths of timm's transformers use the blocks at the same share of their depth; "vit",
    "dinov2" and "embedded" use their middle blocks, as means of unit vectors. "vit" was trained further for saliency.
    Networks whose levels have several sizes, as "embedded", join them to one vector of unit length per patch.
    Images of a pool join the components without views of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, ClassVar, Self, get_args

import torch
from normalgen.baselines.turned import normal_images
from torch import Tensor

from normalgen.detectors.map_scores import top_mean
from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.patch_detector import PatchDetector
from normalgen.detectors.smoothing import smoothed
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.contract import Features
from normalgen.features.memory_bank import SHARE, Scatter, Subspace
from normalgen.features.patches import joined
from normalgen.images.augment import Border
from normalgen.images.turning import STEPS
from normalgen.io.rng import generator
from normalgen.references import References

__all__ = ["SubspaceAD", "middle"]

ANGLES = STEPS * 345 // 360
BLUR = (4.0, 1)
"""Deviation and radius of the blur of maps, in pixels."""


@dataclass(kw_only=True)
class SubspaceAD(PatchDetector):
    """Scores queries by the squared distances of their patches to the principal components of normal patches.

    Args:
        layers: blocks of timm, vit or dinov2 whose mean is taken; None for `middle` of timm's, and the own choice of
            others.
        views: randomly turned views per reference; 0 for the references alone. Pools have none.
        border: what turned views show beyond the photo, see `normalgen.images.augment.Border`.
        share: of the variance that the components hold, in (0, 1).
    """

    name: ClassVar[str] = "subspacead"

    layers: list[int] | None = None
    views: int = 30
    border: Border = "whole"
    share: float = SHARE
    subspace_: Subspace | None = field(default=None, init=False, repr=False)
    scatters_: dict[int, Scatter] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """Return the detector with the paper's settings, and `changes`, such as `views=0`."""
        size = {"features": "timm:vit_giant_patch14_reg4_dinov2.lvd142m", "features_size": 672}
        return cls(**{**size, "border": "black", **changes})

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a value is out of range, or the features have an unknown name.
        """
        super().check()
        if not isinstance(self.views, int) or self.views < 0:
            raise PresetError(f"{self.name}: views must be a whole number of at least 0, got {self.views!r}")
        if self.border not in get_args(Border):
            raise PresetError(f"{self.name}: border must be one of {', '.join(get_args(Border))}, got {self.border!r}")
        if not isinstance(self.share, float) or not 0 < self.share < 1:
            raise PresetError(f"{self.name}: share must be between 0 and 1, got {self.share!r}")

    def network(self) -> Features:
        """Return the features, opened with their layers."""
        return self._opened(self.layers or (middle if self.features.startswith("timm:") else None))

    def _learn(self, network: Features, known: Known, references: References) -> dict[str, Tensor]:
        def step(owner: int, tile: int, view: int) -> int:
            draw = generator("subspacead", self.seed, known.digests[owner], tile, view)
            return int(torch.randint(ANGLES + 1, (), generator=draw))

        self.scatters_ = {}
        for owners, images in normal_images(known, self.views, step, self.border, self.batch):
            for owner, patches in zip(owners, _vectors(network, images), strict=True):
                scatter = Scatter.of(patches)
                self.scatters_[owner] = self.scatters_[owner] + scatter if owner in self.scatters_ else scatter
        whole = reduce(add, self.scatters_.values())
        return {"count": torch.tensor(whole.count), "total": whole.total, "products": whole.products}

    def _take(self, tensors: dict[str, Tensor]) -> None:
        self.subspace_ = Subspace(_scatter(tensors), self.share).to(self.device)

    def _maps(self, images: Tensor, without: int | None) -> Tensor:
        network = self._ready().network
        return smoothed(self._subspace(without).residuals(_vectors(network, images)), network.size, *BLUR)

    def _scores(self, maps: Tensor) -> Tensor:
        return top_mean(maps)

    def _subspace(self, without: int | None) -> Subspace:
        if self.subspace_ is None:
            raise NotFittedError("fit the detector first: SubspaceAD().fit(references, pool)")
        if without is None:
            return self.subspace_
        return Subspace(_scatter(self._ready().tensors) - self.scatters_[without], self.share).to(self.device)


def middle(depth: int) -> Sequence[int]:
    """Return the blocks, from 0, that lie where blocks 22 to 28 of 40 do: hidden states -18 to -12."""
    return range(round(depth * 22 / 40), round(depth * 28 / 40) + 1)


def _scatter(tensors: dict[str, Tensor]) -> Scatter:
    return Scatter(int(tensors["count"]), tensors["total"], tensors["products"])


def _vectors(network: Features, images: Tensor) -> Tensor:
    """Return one vector per patch (N, h, w, C): the mean of equal levels; others joined on the grid of the first."""
    levels = network.tokens(images)
    if len({level.shape for level in levels}) == 1:
        return torch.stack(levels).mean(0)
    return joined(levels, network.shares, levels[0].shape[1])
