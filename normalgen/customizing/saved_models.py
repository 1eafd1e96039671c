"""Finds the model in a folder: finished, unfinished, or made by another tool."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.diffusion import INDEX, MODEL_FILE
from normalgen.errors import DataError, PresetError
from normalgen.references import References
from normalgen.settings.preset import Preset, flatten, label

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

__all__ = [
    "RECORD",
    "find_model",
    "is_begun",
    "is_customized",
    "need_made_with",
    "saved_preset",
    "with_noun_of",
]

TRAINED = ("weights", "train")
RECORD = "customize.json"
"""The settings of a customization, finished or not."""


def is_customized(folder: Path) -> bool:
    """Return whether `folder` holds a finished model."""
    return (folder / MODEL_FILE).is_file()


def is_begun(folder: Path) -> bool:
    """Return whether customization of a model in `folder` has started; it may be finished."""
    return (folder / RECORD).is_file()


def _is_foreign(path: Path) -> bool:
    """Return whether `path` is a model of another tool, which `normalgen.diffusion.loading.open_foreign` opens."""
    return path.suffix == ".safetensors" or (path / INDEX).is_file() or any(path.glob("*.safetensors"))


def find_model(
    folder: Path, settings: Preset, asked: Mapping[str, Any], *, device: str, category: str, noun: str
) -> "NormalModel | None":
    """Return the finished model in `folder`, or another tool's model; None if there is neither.

    Args:
        folder: a folder, or a file of another tool.
        settings: preset for another tool's model.
        asked: the user's settings by group; training settings must equal the finished model's, the others are used for
            sampling.
        device: device of the model.
        category: category that another tool's model draws.
        noun: the object in its prompts.

    Raises:
        PresetError: the model was trained with other settings, or is another tool's and the preset does not fit it.
    """
    if not is_customized(folder) and (is_begun(folder) or not _is_foreign(folder)):
        return None
    from normalgen.diffusion.model import NormalModel  # not before: that takes seconds

    if is_customized(folder):
        sampling = {name: value for name, value in asked.items() if name not in TRAINED}
        model = NormalModel.load(folder, device=device, changes=sampling)
        need_made_with(model.preset, folder, {name: value for name, value in asked.items() if name in TRAINED})
        return model
    return NormalModel.adopt(folder, settings, device=device, category=category, noun=noun)


def need_made_with(preset: Preset, folder: Path, asked: Mapping[str, Any]) -> None:
    """Check that the settings in `preset`, which made `folder`, equal `asked`; None and "auto" match anything.

    Raises:
        PresetError: a setting differs.
    """
    made = preset.flat()
    for name, value in flatten(asked):
        if value not in (None, "auto", made[name]):
            raise PresetError(f"{folder} was made with {label(name)} {made[name]}, now {value}; name another folder")


def saved_preset(folder: Path | None) -> Preset | None:
    """Return the settings of the finished model in `folder`; None if there is none. Loads no weights.

    Raises:
        PresetError: another version of normalgen wrote it.
    """
    if folder is None or not folder.is_dir():
        return None
    from normalgen.diffusion.saved_model import read_saved

    record = read_saved(folder) if is_customized(folder) else None
    return None if record is None else Preset.from_settings(record["preset"])


def with_noun_of(model: "NormalModel", references: References) -> References:
    """Return the references with the noun of a finished model.

    Raises:
        DataError: the user chose another noun for them.
    """
    if references.noun_given and references.noun != model.noun:
        raise DataError(
            f"the model was customized with --object {model.noun!r}, now {references.noun!r}; leave --object out, or "
            "name another folder with --model for a new model"
        )
    return replace(references, noun=model.noun)
