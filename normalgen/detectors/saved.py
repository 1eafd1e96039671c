"""Saved detectors: which kind and version a folder holds, and the one way to load any of them."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired

from typing_extensions import TypedDict

import normalgen
from normalgen.detectors.specs import DETECTORS
from normalgen.errors import DataError
from normalgen.io.records import read_json

if TYPE_CHECKING:
    from normalgen.detectors.base import JudgingDetector

__all__ = ["AGAIN", "SETTINGS", "check_saved", "load_detector"]

SETTINGS = "detector.json"
AGAIN = "save the detector again: normalgen detect ... --save FOLDER"


class _Head(TypedDict):
    """What every `detector.json` says first."""

    detector: NotRequired[str]
    version: NotRequired[str]


def load_detector(folder: Path, *, device: str = "cpu", batch: int = 8, cache: Path | None = None) -> "JudgingDetector":
    """Return the detector that `save` wrote, of whatever kind.

    Raises:
        DataError, MissingWeights: the folder holds no detector, one of another version or of other features, or a
            damaged one.
    """
    name = _kind(folder)
    if name not in DETECTORS:
        raise DataError(f"{folder} holds the detector {name}, this version has {', '.join(DETECTORS)}; {AGAIN}")
    module, _, kind = DETECTORS[name].partition(":")
    loaded: JudgingDetector = getattr(import_module(module), kind).load(folder, device=device, batch=batch, cache=cache)
    return loaded


def check_saved(folder: Path, name: str) -> None:
    """Check that `folder` holds a detector called `name`, saved by this version.

    Raises:
        DataError: it does not.
    """
    kind = _kind(folder)
    if kind != name:
        raise DataError(f"{folder} holds the detector {kind}, not {name}; load it with --detector {folder}")


def _kind(folder: Path) -> str:
    """Return the name of the detector in `folder`; raises DataError if there is none, or one of another version."""
    head = read_json(folder / SETTINGS, _Head, AGAIN)
    if head is None:
        raise DataError(f"{folder} holds no detector: it lacks {SETTINGS}; {AGAIN}")
    version = head.get("version", "before 0.1.0")
    if version != normalgen.__version__:
        raise DataError(
            f"{folder} was saved by version {version} of normalgen, this is {normalgen.__version__}; {AGAIN}"
        )
    return head.get("detector", "one-to-normal")
