"""PaDiM: one Gaussian per position of aligned parts (Defard et al., ICPR workshops 2021).

Source: arXiv 2011.08785, and the code that reproduces its tables, github.com/xiahaifeng1995/PaDiM: layers 1 to 3 of a
ResNet brought to the grid of layer 1 by repetition; a random subset of 100 (ResNet-18) or 550 (Wide ResNet-50-2)
channels; per position the mean and the unbiased covariance plus 0.01 I; the score of a patch is its Mahalanobis
distance, enlarged to the image (bilinear) and blurred by a Gaussian of 4 pixels; that of an image is the highest.

Differs:
- One image alone has no covariance, and theirs is not a number; here it is 0.01 I.
- While there are fewer images than channels, no covariance is built: the distances follow from the images' own vectors
  (Woodbury's identity), with the same values.
- By default each level is scaled to a mean square of 1 per channel, as 0.01 I has no meaning for features of another
  scale; `paper` leaves them as they are.
- Photos are squashed to a square with the filter of all detectors here, and the images' maps are not scaled to 0..1
  over a test set.
- anomalib adds 1e-5 I more, draws other channels, and blurs as if the map were mirrored without its outermost pixel.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize, pad

from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.patch_detector import PatchDetector
from normalgen.detectors.smoothing import smoothed
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.contract import Features
from normalgen.features.inner import InnerFeatures
from normalgen.references import References

__all__ = ["Covariances", "FewVectors", "PaDiM", "gaussians"]

DIMENSIONS = {"resnet18": 100, "wide_resnet50_2": 550}
POSITIONS = 64
"""Positions at a time while Gaussians are computed in float64."""


@dataclass(frozen=True)
class FewVectors:
    """Gaussians of fewer vectors than channels, one per position, by Woodbury's identity.

    With X the N centred vectors of a position (N, C), and L the Cholesky factor of X X^T + (N - 1) ridge I:

    Attributes:
        mean: (P, C).
        basis: L^-1 X (P, N, C).
        factor: L^-1 (P, N, N).
        ridge: added to the diagonal of the covariances.
    """

    mean: Tensor
    basis: Tensor
    factor: Tensor
    ridge: float

    def distances(self, vectors: Tensor) -> Tensor:
        """Return Mahalanobis distances (B, P) of vectors (B, P, C).

        The squared distance of an offset v is the least |v - X^T a|^2 / ridge + (N - 1) |a|^2 of all a, which has
        a = L^-T L^-1 X v. Neither term can be negative, so nothing cancels.
        """
        offsets = (vectors - self.mean).permute(1, 2, 0)
        along = self.basis @ offsets
        across = torch.baddbmm(offsets, self.basis.mT, along, alpha=-1)
        weights = self.factor.mT @ along
        squared = across.square().sum(1) / self.ridge + _degrees(self.basis) * weights.square().sum(1)
        return squared.sqrt().T


@dataclass(frozen=True)
class Covariances:
    """Gaussians of any number of vectors, one per position.

    Attributes:
        mean: (P, C).
        whitening: the inverse of the covariance's Cholesky factor (P, C, C).
    """

    mean: Tensor
    whitening: Tensor

    def distances(self, vectors: Tensor) -> Tensor:
        """Return Mahalanobis distances (B, P) of vectors (B, P, C)."""
        return (self.whitening @ (vectors - self.mean).permute(1, 2, 0)).square().sum(1).sqrt().T


def gaussians(mean: Tensor, centred: Tensor, ridge: float) -> FewVectors | Covariances:
    """Return one Gaussian per position, with the unbiased covariance plus `ridge` I.

    Args:
        mean: (P, C).
        centred: vectors without their mean (P, N, C), N at least 1.
        ridge: more than 0.
    """
    parts = torch.split(centred, POSITIONS)
    if _few(centred):
        bases, factors = zip(*[_woodbury(part, ridge) for part in parts], strict=True)
        return FewVectors(mean, torch.cat(bases), torch.cat(factors), ridge)
    return Covariances(mean, torch.cat([_whitening(part, ridge) for part in parts]))


def _few(centred: Tensor) -> bool:
    return centred.shape[1] < centred.shape[2]


def _woodbury(centred: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return `basis` and `factor` of `FewVectors` of centred vectors (P, N, C)."""
    wide = centred.double()
    factor = _inverse_factor(wide @ wide.mT, _degrees(centred) * ridge)
    return (factor @ wide).to(centred), factor.to(centred)


def _whitening(centred: Tensor, ridge: float) -> Tensor:
    """Return `Covariances.whitening` of centred vectors (P, N, C)."""
    wide = centred.double()
    return _inverse_factor(wide.mT @ wide / _degrees(centred), ridge).to(centred)


def _inverse_factor(products: Tensor, ridge: float) -> Tensor:
    """Return the inverse of the lower Cholesky factor of products (P, n, n) + ridge I."""
    eye = torch.eye(products.shape[1]).to(products)
    inverse: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(products + ridge * eye), eye, upper=False)
    return inverse


def _degrees(centred: Tensor) -> int:
    """Return N - 1, by which unbiased covariances are divided; 1 for one vector, whose scatter is 0."""
    return max(1, centred.shape[1] - 1)


@dataclass(kw_only=True)
class PaDiM(PatchDetector):
    """Scores each patch by its distance to the Gaussian of its position; for parts that are aligned.

    Args:
        dimensions: how many channels to keep, drawn by `seed`; features that have fewer keep all.
        ridge: added to the diagonal of each covariance.
        scaled: scale each level to a mean square of 1 per channel, times its share in the features.
        sigma: deviation of the blur, in pixels of the features' input; 0: none.
        border: pixels at each side that are cut off before the features see the image; maps are 0 there.
    """

    name: ClassVar[str] = "padim"

    dimensions: int = 100
    ridge: float = 0.01
    scaled: bool = True
    sigma: float = 4.0
    border: int = 0
    gaussians_: FewVectors | Covariances | None = field(default=None, init=False, repr=False)
    centred_: Tensor | None = field(default=None, init=False, repr=False)
    sources_: Tensor = field(default_factory=lambda: torch.empty(0), init=False, repr=False)

    @classmethod
    def paper(cls, features: str = "timm:wide_resnet50_2.tv_in1k", **changes: Any) -> Self:
        """Return the detector with the paper's settings: 256 pixels, of which the middle 224, and its channels.

        Args:
            features: "timm:resnet18.tv_in1k" has 100 channels, others 550; add ":FILE" for weights without a download.
            changes: other settings, such as `device`.
        """
        backbone = features.removeprefix("timm:").partition(":")[0].partition(".")[0]
        settings = {"dimensions": DIMENSIONS.get(backbone, 550), "scaled": False, "seed": 1024}
        return cls(**{"features": features, "features_size": 224, "border": 16, **settings, **changes})

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a number is out of range, or the features have an unknown name.
        """
        super().check()
        for name, least in (("dimensions", 1), ("border", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise PresetError(f"padim: {name} must be a whole number of at least {least}, got {value!r}")
        if not isinstance(self.ridge, float | int) or not 0 < self.ridge < float("inf"):
            raise PresetError(f"padim: ridge must be a number above 0, got {self.ridge!r}")
        if not isinstance(self.sigma, float | int) or not 0 <= self.sigma <= 100:
            raise PresetError(f"padim: sigma must be in [0, 100] pixels, got {self.sigma!r}")

    def network(self) -> Features:
        """Return the features of the image without its border, opened."""
        network = super().network()
        return InnerFeatures(network, self.border) if self.border else network

    def _learn(self, network: Features, known: Known, references: References) -> dict[str, Tensor]:
        joined, channels = [], torch.empty(0)
        for images in torch.split(torch.cat([known.photos, known.drawn]), self.batch):
            levels = network.tokens(images.float() / 255)
            channels = _drawn(sum(level.shape[-1] for level in levels), self.dimensions, self.seed)
            joined.append(self._vectors(levels, network.shares, channels).transpose(0, 1))
        vectors = torch.cat(joined, 1)
        mean = vectors.mean(1)
        self.centred_ = vectors.sub_(mean[:, None])
        self.sources_ = torch.tensor(known.sources)
        kept = {"channels": channels, "mean": mean}
        if _few(vectors):
            return kept | {"centred": vectors}
        return kept | {
            "whitening": torch.cat([_whitening(part, self.ridge) for part in torch.split(vectors, POSITIONS)])
        }

    def _take(self, tensors: dict[str, Tensor]) -> None:
        tensors = {name: held.to(self.device) for name, held in tensors.items()}
        if "centred" in tensors:
            self.gaussians_ = gaussians(tensors["mean"], tensors["centred"], self.ridge)
        else:
            self.gaussians_ = Covariances(tensors["mean"], tensors["whitening"])

    def _maps(self, images: Tensor, without: int | None) -> Tensor:
        fitted = self._ready()
        levels, channels = fitted.network.tokens(images), fitted.tensors["channels"]
        near = self._normal(without).distances(self._vectors(levels, fitted.network.shares, channels))
        side = math.isqrt(near.shape[1])
        return pad(
            smoothed(near.view(-1, side, side), fitted.network.size - 2 * self.border, self.sigma), (self.border,) * 4
        )

    def _normal(self, without: int | None) -> FewVectors | Covariances:
        """Return the Gaussians, of all images or without a reference and what was made from it."""
        if self.gaussians_ is None or (without is not None and self.centred_ is None):
            raise NotFittedError("fit the detector first: PaDiM().fit(references, pool)")
        if without is None or self.centred_ is None:
            return self.gaussians_
        others = self.centred_[:, (self.sources_ != without).to(self.centred_.device)]
        shift = others.mean(1)
        return gaussians(self.gaussians_.mean + shift, others - shift[:, None], self.ridge)

    def _vectors(self, levels: Sequence[Tensor], shares: Sequence[float], channels: Tensor) -> Tensor:
        """Return the chosen channels of levels (N, h, w, C) at each position of the finest one, (N, P, dimensions)."""
        widths = [level.shape[-1] for level in levels]
        grid = max(level.shape[1] for level in levels)
        parts, first = [], 0
        for level, share, width in zip(levels, shares, widths, strict=True):
            chosen = channels[(channels >= first) & (channels < first + width)] - first
            vectors = normalize(level, dim=-1) * (share * sum(widths)) ** 0.5 if self.scaled else level
            near = vectors[..., chosen.to(level.device)].permute(0, 3, 1, 2)
            parts += [adaptive_avg_pool2d(near, grid)] if len(chosen) else []
            first += width
        return torch.cat(parts, 1).flatten(2).mT


def _drawn(total: int, count: int, seed: int) -> Tensor:
    """Return indices of at most `count` of `total` channels, as `random.sample` after `random.seed(seed)`."""
    return torch.tensor(sorted(random.Random(seed).sample(range(total), min(count, total))))
