"""What the triplet detector learns, and its tensors as a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from normalgen.detectors.one_to_normal.branches import Branches
from normalgen.detectors.one_to_normal.saved_detector import SavedDetector, SavedTraining
from normalgen.detectors.one_to_normal.triplet import WEIGHTS, Levels, Moments, PatchBank
from normalgen.images.crop import Crop, as_crop
from normalgen.references import References

__all__ = ["Fitted", "Training", "levels_in", "moments_in"]


@dataclass(frozen=True)
class Training:
    """What the detector was fitted on.

    Attributes:
        category: of the references.
        noun: the object in prompts.
        crop: as in `Images`; queries are cropped in the same way.
        references: the SHA-256 of each.
        tile: as in `References`; queries are cut in the same way.
    """

    category: str
    noun: str
    crop: str | Crop | None
    references: tuple[str, ...]
    tile: int = 0

    @classmethod
    def of(cls, references: References) -> Self:
        """What fitting on `references` is remembered by."""
        images = references.images
        return cls(references.category, references.noun, images.crop, tuple(images.hashes()), references.tile)

    @classmethod
    def from_record(cls, record: SavedTraining) -> Self:
        """The inverse of `asdict`, from JSON."""
        crop, references = as_crop(record["crop"]), tuple(record["references"])
        return cls(record["category"], record["noun"], crop, references, record.get("tile", 0))


@dataclass(frozen=True)
class Fitted:
    """All that `fit` learns.

    Attributes:
        branches: what looks.
        banks: patches of references and pool.
        moments: of each branch's maps of normal images.
        weights: of the branches.
        left_out: scores of left-out references and their augmentations.
        size: width and height that queries are squashed to, pixels.
        training: what it was fitted on.
        sources: as in `normalgen.detectors.one_to_normal.calibration.Known`.
    """

    branches: Branches
    banks: PatchBank
    moments: dict[str, Moments]
    weights: dict[str, float]
    left_out: Tensor
    size: int
    training: Training
    sources: tuple[int, ...]

    @classmethod
    def read(cls, branches: Branches, tensors: Mapping[str, Tensor], record: SavedDetector, device: str) -> Self:
        """Return what `tensors` and a detector's record hold; `branches` look on `device`."""
        known, bank = record["settings"], PatchBank(levels_in(tensors, "bank"), device)
        usual: dict[str, Moments] = {name: moments_in(tensors, name) for name in WEIGHTS if name in known["branches"]}
        trained, sources = Training.from_record(record["training"]), tuple(record["sources"])
        return cls(branches, bank, usual, known["weights"], tensors["left_out"], known["size"], trained, sources)

    def tensors(self) -> dict[str, Tensor]:
        """Bank, moments and left-out scores by name."""
        found = _named("bank", self.banks.levels) | {"left_out": self.left_out}
        for name, usual in self.moments.items():
            found |= _named(f"mean.{name}", usual.means) | _named(f"deviation.{name}", usual.deviations)
        return {name: tensor.contiguous() for name, tensor in found.items()}


def levels_in(tensors: Mapping[str, Tensor], name: str) -> Levels:
    """The levels that `tensors` calls `name`, such as "bank"."""
    return [tensors[f"{name}.{i}"] for i in range(sum(key.rpartition(".")[0] == name for key in tensors))]


def moments_in(tensors: Mapping[str, Tensor], branch: str) -> Moments:
    """The moments of a branch among `tensors`."""
    return Moments(levels_in(tensors, f"mean.{branch}"), levels_in(tensors, f"deviation.{branch}"))


def _named(name: str, levels: Levels) -> dict[str, Tensor]:
    return {f"{name}.{i}": level for i, level in enumerate(levels)}
