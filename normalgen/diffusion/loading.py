"""Opens the parts of a preset or a saved model: the bundled prior, a prior like it, or Stable Diffusion."""

import re
from pathlib import Path

from normalgen.diffusion import INDEX
from normalgen.diffusion.parts import Parts
from normalgen.diffusion.tiny.tiny_parts import BUNDLED, CONFIG, TinyParts, load_adapters, open_tiny
from normalgen.errors import MissingWeights, PresetError
from normalgen.io.optional import optional_module
from normalgen.settings.presets import Preset

__all__ = ["open_foreign", "open_parts", "open_saved"]


def open_parts(weights: str) -> Parts:
    """Return the un-customized parts that `Preset.weights` names.

    Raises:
        MissingWeights: they do not exist.
    """
    folder = Path(weights)
    if weights == "bundled":
        return open_tiny(BUNDLED)
    if (folder / INDEX).is_file() or (not folder.exists() and _is_hub_name(weights)):
        return _open_stable(weights)
    if not folder.is_dir():
        raise MissingWeights(
            "weights must be 'bundled', a folder with your own prior, or Stable Diffusion (a folder with "
            f"{INDEX}, or owner/name on the Hugging Face hub), got {weights!r}"
        )
    if not (folder / CONFIG).is_file():
        raise MissingWeights(f"{folder} holds neither {INDEX} (Stable Diffusion) nor {CONFIG} (a prior)")
    return open_tiny(folder)


def open_saved(folder: Path, preset: Preset) -> Parts:
    """Return the parts of a customized model.

    Raises:
        MissingWeights: its weights, or the weights that it builds on, are missing.
    """
    if (folder / INDEX).is_file():
        return _open_stable(str(folder))
    if preset.train.method != "lora":
        return open_tiny(folder)
    base = open_parts(preset.weights)
    return load_adapters(base, folder, preset) if isinstance(base, TinyParts) else base.merge(folder)


def open_foreign(path: Path, preset: Preset) -> Parts:
    """Return the parts of another tool's model: a diffusers DreamBooth folder, or a LoRA on the preset's weights.

    Raises:
        MissingWeights: `path` holds neither, or a part is missing.
        PresetError: the preset is not for Stable Diffusion.
    """
    if preset.weights == "bundled":
        raise PresetError(
            f"{path} was not made by normalgen with preset {preset.name}; if it is another tool's Stable Diffusion (a "
            "diffusers DreamBooth folder, or a LoRA), add --preset sd15"
        )
    if (path / INDEX).is_file():
        return _open_stable(str(path))
    return open_parts(preset.weights).merge(path)


def _open_stable(weights: str) -> Parts:
    for package in ("transformers", "peft"):
        optional_module(package, "sd")
    from normalgen.diffusion.stable_diffusion import open_stable

    return open_stable(weights)


def _is_hub_name(weights: str) -> bool:
    """Return whether `weights` could be owner/name on the Hugging Face hub."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", weights) is not None and not weights.startswith(".")
