"""What the triplet detector learns, and the tensors that a saved one holds."""

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
        category: category of the references.
        noun: the object in prompts.
        crop: as in `Images`; queries get the same crop.
        references: the SHA-256 of each reference.
        tile: as in `References`; queries are cut into the same tiles.
    """

    category: str
    noun: str
    crop: str | Crop | None
    references: tuple[str, ...]
    tile: int = 0

    @classmethod
    def of(cls, references: References) -> Self:
        """Return the record of a fit on `references`."""
        images = references.images
        return cls(references.category, references.noun, images.crop, tuple(images.hashes()), references.tile)

    @classmethod
    def from_record(cls, record: SavedTraining) -> Self:
        """Return the record that `asdict` wrote as JSON."""
        crop, references = as_crop(record["crop"]), tuple(record["references"])
        return cls(record["category"], record["noun"], crop, references, record.get("tile", 0))


@dataclass(frozen=True)
class Fitted:
    """All that `fit` learns.

    Attributes:
        branches: compute the raw maps.
        banks: patches of references and pool.
        moments: mean and deviation of each branch's maps of normal images.
        weights: weight of each branch.
        left_out: scores of left-out references and their augmentations.
        size: width and height that queries are squashed to, in pixels.
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
        """Return the state that `tensors` and `record` hold; patches are compared on `device`."""
        known = record["settings"]
        subspaces = known["fusion"] == "calibrated"
        bank = PatchBank(levels_in(tensors, "bank"), device, subspaces=subspaces)
        usual: dict[str, Moments] = {name: moments_in(tensors, name) for name in WEIGHTS if name in known["branches"]}
        trained, sources = Training.from_record(record["training"]), tuple(record["sources"])
        return cls(branches, bank, usual, known["weights"], tensors["left_out"], known["size"], trained, sources)

    def tensors(self) -> dict[str, Tensor]:
        """Return bank, moments and left-out scores by name."""
        tensors = _named("bank", self.banks.levels) | {"left_out": self.left_out}
        for name, usual in self.moments.items():
            tensors |= _named(f"mean.{name}", usual.means) | _named(f"deviation.{name}", usual.deviations)
        return {name: tensor.contiguous() for name, tensor in tensors.items()}


def levels_in(tensors: Mapping[str, Tensor], name: str) -> Levels:
    """Return the levels named `name` in `tensors`, such as "bank"."""
    return [tensors[f"{name}.{i}"] for i in range(sum(key.rpartition(".")[0] == name for key in tensors))]


def moments_in(tensors: Mapping[str, Tensor], branch: str) -> Moments:
    """Return the moments of a branch in `tensors`."""
    return Moments(levels_in(tensors, f"mean.{branch}"), levels_in(tensors, f"deviation.{branch}"))


def _named(name: str, levels: Levels) -> dict[str, Tensor]:
    return {f"{name}.{i}": level for i, level in enumerate(levels)}
