"""Writes the files of a saved detector, and checks them against their digests when it reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired

from safetensors.torch import save
from torch import Tensor
from typing_extensions import TypedDict

import normalgen
from normalgen.detectors.one_to_normal.text_branch import TextMaps
from normalgen.detectors.one_to_normal.triplet import WEIGHTS, Choice, Fusion, Reduce
from normalgen.detectors.saved import AGAIN, SETTINGS, check_saved
from normalgen.diffusion.parts import digest, read_weights
from normalgen.errors import DataError, MissingWeights
from normalgen.io.atomic import write_whole
from normalgen.io.paths import inside
from normalgen.io.records import read_json, write_record

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

__all__ = [
    "FILES",
    "MODEL",
    "TENSORS",
    "TEXT",
    "SavedDetector",
    "SavedTraining",
    "need_network",
    "read_detector",
    "read_model",
    "write_detector",
]

TENSORS, TEXT, MODEL = "detector.safetensors", "text.safetensors", "model"
FILES = (SETTINGS, TENSORS, TEXT, MODEL)


class SavedTraining(TypedDict):
    """`Training` as JSON."""

    category: str
    noun: str
    crop: str | list[int] | None
    references: list[str]
    tile: NotRequired[int]


class SavedSettings(TypedDict):
    """The settings of a saved detector that `load` needs."""

    features: str
    fusion: Fusion
    reduce: Reduce
    choice: Choice
    bank: int
    features_size: NotRequired[int]
    text: str
    seed: int
    branches: list[Literal["p", "n", "text"]]
    object: str
    size: int
    weights: dict[str, float]


class SavedDetector(TypedDict):
    """`detector.json`; `files` holds the SHA-256 of each file of tensors."""

    version: NotRequired[str]
    settings: SavedSettings
    sources: list[int]
    network: str
    training: SavedTraining
    files: NotRequired[dict[str, str]]


def write_detector(
    folder: Path,
    record: Mapping[str, Any],
    tensors: dict[str, Tensor],
    text: TextMaps | None,
    model: "NormalModel | None",
) -> None:
    """Write into `folder` what `read_detector` reads, and the text maps and the model if there are any."""
    data, files = save(tensors), [folder / TENSORS]
    write_whole(folder / TENSORS, lambda partial: partial.write_bytes(data))
    if text is not None:
        text.save(folder / TEXT)
        files.append(folder / TEXT)
    if model is not None:
        model.save(folder / MODEL)
    made = {"version": normalgen.__version__}
    write_record(folder / SETTINGS, {**made, **record, "files": {file.name: digest([file]) for file in files}})


def read_detector(folder: Path) -> tuple[SavedDetector, dict[str, Tensor]]:
    """Return the record and the tensors of the detector in `folder`.

    Raises:
        DataError: as `check_saved`; or the record is damaged.
        MissingWeights: a file of tensors is missing, damaged, or differs from the saved one.
    """
    check_saved(folder, "one-to-normal")
    record = read_json(folder / SETTINGS, SavedDetector, AGAIN)
    assert record is not None  # check_saved has read it
    for name, saved in record.get("files", {}).items():
        file = inside(folder, name, folder / SETTINGS)
        if not file.is_file() or digest([file]) != saved:
            raise MissingWeights(f"{file} is missing or damaged: its SHA-256 is not the saved one; {AGAIN}")
    tensors, settings = read_weights(folder / TENSORS, AGAIN), record["settings"]
    names = [name for name in WEIGHTS if name in settings["branches"]]
    wanted = {"bank.0", "left_out", *(f"{moment}.{name}.0" for moment in ("mean", "deviation") for name in names)}
    if lacks := sorted(wanted - tensors.keys()) or sorted(set(names) - settings["weights"].keys()):
        raise DataError(f"{folder} is damaged: it lacks {lacks[0]}; {AGAIN}")
    _need_shapes(folder, tensors)
    return record, tensors


def read_model(folder: Path, device: str) -> "NormalModel":
    """Return the model of the detector in `folder`."""
    from normalgen.diffusion.model import NormalModel

    return NormalModel.load(folder / MODEL, device=device)


def need_network(record: SavedDetector, network: str, source: Path) -> None:
    """Check that the detector at `source` was fitted on this network.

    Raises:
        DataError: it was fitted on another.
    """
    if network != record["network"]:
        raise DataError(f"{source} needs the features {record['network']}, these are {network}; {AGAIN}")


def _need_shapes(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that a detector's tensors fit each other.

    Raises:
        DataError: they do not.
    """
    scores, means = tensors["left_out"], [name for name in tensors if name.startswith("mean.")]
    banks = [held for name, held in tensors.items() if name.startswith("bank.")]
    fit = scores.ndim == 1 and len(scores) > 0 and all(held.numel() for held in banks)
    others = [tensors.get(name.replace("mean.", "deviation.", 1)) for name in means]
    shapes = [None if other is None else other.shape for other in others]
    if not fit or [tensors[name].shape for name in means] != shapes:
        raise DataError(f"{folder} is damaged: its tensors do not fit each other; {AGAIN}")
