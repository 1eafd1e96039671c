"""WinCLIP and WinCLIP+ (Jeong et al., CVPR 2023): CLIP compares windows of images with sentences and normal windows.

Source: the paper; its authors published no code. Facts are from four others: mala-lab/WinCLIP (by InCTRL's authors, who
asked WinCLIP's), zqhang/Accurate-WinCLIP-pytorch, anomalib, and caoyunkang/WinClip. Sentences are
`normalgen.detectors.one_to_normal.text_branch.NORMAL` and `ANOMALOUS`, in 22 templates: 154 and 88. Given anomalib's
temperature, the same sentences and its patch vectors without the last norm, vectors and image scores agree with
anomalib 2.7 within 1e-6.

Differs:
- Images of any size are squashed, and read as RGB. mala-lab cuts others than squares into tiles of which some leave a
  portrait image; caoyunkang gives references as RGB and queries as BGR.
- Any number of references and pool images, and any of open_clip's vision transformers; mala-lab reads exactly four.
- All 22 templates: anomalib and Accurate-WinCLIP lack one and have another twice, so they use 147 and 84 sentences.
  Each sentence's vector is scaled to length 1 before the mean, as mala-lab does; the two others take the mean first.
- Cosines to sentences are multiplied by 100, as in mala-lab and as CLIP was trained. anomalib and Accurate-WinCLIP
  divide them by 0.07 (`temperature`), which moves all probabilities near 0.5 and so counts references more.
- Patch vectors are the last block's outputs, as in mala-lab; anomalib normalizes them first.
- A window's tokens attend to each other. In anomalib, windows attend to other windows if open_clip is newer than the
  version that it pins.
- The image score adds the highest value of the references' map alone; caoyunkang takes that of the joint map, and
  aggregates probabilities of normal windows, which leans to anomalous instead of to normal.
- Scores below 1e-6 count as 1e-6 in harmonic means. Where a query shares a window with a reference, mala-lab divides by
  zero, and anomalib adds up inverse distances that rounding has made negative.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor
from torch.nn.functional import conv_transpose2d

from normalgen.detectors.one_to_normal.branches import joined
from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.one_to_normal.left_out import BankWithout
from normalgen.detectors.one_to_normal.text_branch import text_vectors
from normalgen.detectors.one_to_normal.triplet import Levels, PatchBank, unit
from normalgen.detectors.patch_detector import PatchDetector
from normalgen.errors import PresetError
from normalgen.features.cached import KeptFeatures
from normalgen.features.clip_windows import SIDES, ClipWindows
from normalgen.features.contract import Features, TextSide
from normalgen.features.open_clip import ClipFeatures
from normalgen.features.open_features import open_features
from normalgen.references import References

__all__ = ["WinClip", "harmonic", "spread"]

LEAST = 1e-6
MEMORIES = (*(f"windows of {side}" for side in SIDES), "patches")


@dataclass(kw_only=True)
class WinClip(PatchDetector):
    """Scores queries by sentences and by the nearest windows and patches of normal images.

    Args:
        features: must have a text side; its sentences name the references' object.
        temperature: cosines to sentences are divided by it.
        memory: also compare with references and pool (WinCLIP+); if not, sentences alone decide (WinCLIP).
    """

    name: ClassVar[str] = "winclip"

    features: str = "clip"
    temperature: float = 0.01
    memory: bool = True
    bank_: PatchBank | None = field(default=None, init=False, repr=False)

    @classmethod
    def paper(cls, **settings: Any) -> Self:
        """Return the detector with the paper's network and image size; `settings` come on top."""
        return cls(**{"features": "clip:ViT-B-16-plus-240:laion400m_e31", "features_size": 240, **settings})

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a setting is out of range, or no features have this name and a text side.
        """
        super().check()
        if self.features.partition(":")[0] != "clip":
            raise PresetError(
                "winclip needs features with a text side: clip, clip:NAME, or clip:NAME:WEIGHTS with open_clip's name; "
                f"got {self.features!r}"
            )
        if not isinstance(self.temperature, float | int) or not 0 < self.temperature < float("inf"):
            raise PresetError(f"winclip: temperature must be a number above 0, got {self.temperature!r}")
        if not isinstance(self.memory, bool):
            raise PresetError(f"winclip: memory must be true or false, got {self.memory!r}")

    def network(self) -> Features:
        """Return the features, opened, as `ClipWindows`; raises PresetError if images are smaller than windows."""
        clip = open_features(self.features, device=self.device, size=self.features_size or None)
        windows = ClipWindows(cast(ClipFeatures, clip))
        return windows if self.cache is None else KeptFeatures(windows, self.cache / "patches")

    def _learn(self, network: Features, known: Known, references: References) -> dict[str, Tensor]:
        tensors = {"text": text_vectors(cast(TextSide, network.text), references.noun).cpu()}
        if not self.memory:
            return tensors
        parts = torch.split(torch.cat([known.photos, known.drawn]), self.batch)
        levels = joined([[level.cpu() for level in unit(network.tokens(part.float() / 255))[1:]] for part in parts])
        return tensors | {"sources": torch.tensor(known.sources)} | dict(zip(MEMORIES, levels, strict=True))

    def _take(self, tensors: dict[str, Tensor]) -> None:
        self.bank_ = PatchBank([tensors[name] for name in MEMORIES], self.device) if self.memory else None

    def _maps(self, images: Tensor, without: int | None) -> Tensor:
        return self._judge(images, without)[1]

    def _judge(self, images: Tensor, without: int | None) -> tuple[Tensor, Tensor]:
        whole, *windows, patches = unit(self._ready().network.tokens(images))
        rows, columns = patches.shape[1:3]
        anomalous = [self._anomalous(level) for level in (whole, *windows)]
        scores, maps = anomalous[0].flatten(), harmonic([spread(level, rows, columns) for level in anomalous])
        if self.bank_ is not None:
            apart = [spread(level, rows, columns) for level in self._apart(self.bank_, [*windows, patches], without)]
            strange = torch.stack(apart).mean(0)
            scores, maps = (scores + strange.flatten(1).amax(1)) / 2, (maps + strange) / 2
        return scores.cpu(), maps.cpu()

    def _anomalous(self, vectors: Tensor) -> Tensor:
        """Return the probability (...) that vectors (..., D) show what the anomalous sentences say."""
        cosines = vectors @ self._ready().tensors["text"].to(vectors.device).T
        return (cosines / self.temperature).softmax(-1)[..., 1]

    def _apart(self, bank: PatchBank, levels: Levels, without: int | None) -> Levels:
        """Return half the cosine distances (N, rows, columns) to the nearest normal vectors, per level."""
        if without is None:
            return [level / 2 for level in bank.maps(levels)]
        sources = self._ready().tensors["sources"].tolist()
        return [level / 2 for level in BankWithout(bank, sources, [without] * len(levels[0])).maps(levels)]


def harmonic(maps: Levels) -> Tensor:
    """Return the harmonic mean (N, h, w) of maps (N, h, w)."""
    return len(maps) / torch.stack(maps).clamp(min=LEAST).reciprocal().sum(0)


def spread(scores: Tensor, rows: int, columns: int) -> Tensor:
    """Return for each patch the harmonic mean (N, rows, columns) of the scores of all windows that hold it.

    Args:
        scores: one per window (N, h, w), at stride 1; so a window has rows - h + 1 by columns - w + 1 patches.
        rows: rows of patches.
        columns: columns of patches.
    """
    inverse = scores.clamp(min=LEAST).reciprocal()[:, None]
    window = scores.new_ones(1, 1, rows - scores.shape[1] + 1, columns - scores.shape[2] + 1)
    counts = conv_transpose2d(torch.ones_like(inverse[:1]), window)
    return (counts / conv_transpose2d(inverse, window))[:, 0]
