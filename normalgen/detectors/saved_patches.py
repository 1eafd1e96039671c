"""Writes and reads the files of a saved patch detector."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor
from typing_extensions import TypedDict

import normalgen
from normalgen.detectors.one_to_normal.saved_detector import TENSORS, SavedTraining
from normalgen.detectors.saved import AGAIN, SETTINGS, check_saved
from normalgen.diffusion.parts import digest, read_weights
from normalgen.errors import MissingWeights
from normalgen.io.atomic import write_whole
from normalgen.io.records import read_json, write_record

__all__ = ["read_patches", "write_patches"]


class _Record(TypedDict):
    """`detector.json`; `files` holds the SHA-256 of the file of tensors."""

    detector: str
    settings: dict[str, Any]
    network: str
    training: SavedTraining
    images: int
    files: dict[str, str]


def write_patches(folder: Path, record: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a detector's record and tensors into `folder`."""
    data = save(tensors)
    write_whole(folder / TENSORS, lambda partial: partial.write_bytes(data))
    made = {"version": normalgen.__version__, "files": {TENSORS: digest([folder / TENSORS])}}
    write_record(folder / SETTINGS, {**record, **made})


def read_patches(folder: Path, name: str) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """Return the record and the tensors of the detector called `name` in `folder`.

    Raises:
        DataError: as `check_saved`; or the record is damaged.
        MissingWeights: the file of tensors is missing, damaged, or differs from the saved one.
    """
    check_saved(folder, name)
    record = read_json(folder / SETTINGS, _Record, AGAIN)
    assert record is not None  # check_saved has read it
    file = folder / TENSORS
    if not file.is_file() or digest([file]) != record["files"].get(TENSORS):
        raise MissingWeights(f"{file} is missing or damaged: its SHA-256 is not the saved one; {AGAIN}")
    return record, read_weights(file, AGAIN)
