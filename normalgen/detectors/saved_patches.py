"""Writes and reads the files of a saved patch detector."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired

from safetensors.torch import save
from torch import Tensor
from typing_extensions import TypedDict

import normalgen
from normalgen.detectors.one_to_normal.saved_detector import AGAIN, SETTINGS, TENSORS, SavedTraining
from normalgen.detectors.one_to_normal.state import Training
from normalgen.diffusion.parts import digest, read_weights
from normalgen.errors import DataError, MissingWeights
from normalgen.io.atomic import write_whole
from normalgen.io.records import read_json, write_record

__all__ = ["SavedPatches", "read_patches", "write_patches"]


class _Record(TypedDict):
    """`detector.json`; `files` holds the SHA-256 of the file of tensors."""

    detector: NotRequired[str]
    settings: dict[str, Any]
    network: str
    training: SavedTraining
    images: NotRequired[int]
    version: NotRequired[str]
    files: NotRequired[dict[str, str]]


@dataclass(frozen=True)
class SavedPatches:
    """What a saved detector holds; the attributes as in `Learned`, and the arguments of its constructor."""

    folder: Path
    settings: dict[str, Any]
    network: str
    training: Training
    images: int
    left_out: Tensor
    tensors: dict[str, Tensor]

    def need_network(self, network: str) -> None:
        """Check that the detector was fitted on this network.

        Raises:
            DataError: it was fitted on another.
        """
        if network != self.network:
            raise DataError(f"{self.folder} needs the features {self.network}, these are {network}; {AGAIN}")


def write_patches(
    folder: Path, record: Mapping[str, Any], training: Training, images: int, tensors: dict[str, Tensor]
) -> None:
    """Write a detector's record and tensors into `folder`."""
    data = save(tensors)
    write_whole(folder / TENSORS, lambda partial: partial.write_bytes(data))
    made = {"training": asdict(training), "images": images, "version": normalgen.__version__}
    write_record(folder / SETTINGS, {**record, **made, "files": {TENSORS: digest([folder / TENSORS])}})


def read_patches(folder: Path, name: str) -> SavedPatches:
    """Return what the detector called `name` in `folder` holds.

    Raises:
        DataError: the folder holds no detector, another one, or one of another version; or its record is damaged.
        MissingWeights: the file of tensors is missing, damaged, or differs from the saved one.
    """
    record = read_json(folder / SETTINGS, _Record, AGAIN)
    if record is None:
        raise DataError(f"{folder} holds no detector: it lacks {SETTINGS}; {AGAIN}")
    kind, version = record.get("detector", "one-to-normal"), record.get("version", "")
    if kind != name:
        raise DataError(f"{folder} holds the detector {kind}, not {name}; load it with --detector {folder}")
    if version != normalgen.__version__:
        raise DataError(
            f"{folder} was saved by version {version} of normalgen, this is {normalgen.__version__}; {AGAIN}"
        )
    file = folder / TENSORS
    if not file.is_file() or digest([file]) != record.get("files", {}).get(TENSORS):
        raise MissingWeights(f"{file} is missing or damaged: its SHA-256 is not the saved one; {AGAIN}")
    tensors = read_weights(file, AGAIN)
    left_out, training = tensors.pop("left_out"), Training.from_record(record["training"])
    images = record.get("images", len(training.references))
    return SavedPatches(folder, record["settings"], record["network"], training, images, left_out, tensors)
