"""The record of a finished model."""

from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from normalgen.diffusion import MODEL_FILE
from normalgen.io.records import read_json

__all__ = ["SavedModel", "read_saved"]


class SavedModel(TypedDict):
    """`preset.json` of a finished model."""

    category: str
    noun: str
    grey: bool
    preset: dict[str, Any]
    digest: NotRequired[str]
    merged: NotRequired[str]


def read_saved(folder: Path) -> SavedModel | None:
    """Return what the finished model in `folder` was saved with; None if there is none.

    Raises:
        DataError: the record is damaged.
    """
    path = folder / MODEL_FILE
    return read_json(path, SavedModel, f"to train the model again, remove {path} and run the same command")
