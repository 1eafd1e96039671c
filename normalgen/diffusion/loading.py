"""Opens the parts that a preset names or a model was saved as: the bundled prior, one like it, or Stable Diffusion."""

import re
from pathlib import Path

from normalgen.diffusion import INDEX
from normalgen.diffusion.parts import Parts
from normalgen.diffusion.tiny.tiny_parts import BUNDLED, CONFIG, TinyParts, load_adapters, open_tiny
from normalgen.errors import MissingWeights, PresetError
from normalgen.io.optional import optional_module
from normalgen.settings.presets import Preset

__all__ = ["is_foreign", "open_foreign", "open_parts", "open_saved"]


def open_parts(weights: str) -> Parts:
    """The un-customized parts that `Preset.weights` names.

    Raises:
        MissingWeights: they are not there.
    """
    folder = Path(weights)
    if weights == "bundled":
        return open_tiny(BUNDLED)
    if (folder / INDEX).is_file() or (not folder.exists() and _is_hub_name(weights)):
        return _open_stable(weights)
    if not folder.is_dir():
        raise MissingWeights(
            "weights must be 'bundled', a folder with a prior of your own, or Stable Diffusion (a folder with "
            f"{INDEX}, or owner/name on the Hugging Face hub), got {weights!r}"
        )
    if not (folder / CONFIG).is_file():
        raise MissingWeights(f"{folder} holds neither {INDEX} (Stable Diffusion) nor {CONFIG} (a prior)")
    return open_tiny(folder)


def open_saved(folder: Path, preset: Preset) -> Parts:
    """The parts of a customized model.

    Raises:
        MissingWeights: its weights, or those it builds on, are not there.
    """
    if (folder / INDEX).is_file():
        return _open_stable(str(folder))
    if preset.train.method != "lora":
        return open_tiny(folder)
    base = open_parts(preset.weights)
    return load_adapters(base, folder, preset) if isinstance(base, TinyParts) else base.merge(folder)


def is_foreign(path: Path) -> bool:
    """Whether `path` is a model that others trained, as `open_foreign` takes it."""
    return path.suffix == ".safetensors" or (path / INDEX).is_file() or any(path.glob("*.safetensors"))


def open_foreign(path: Path, preset: Preset) -> Parts:
    """The parts of a model that others trained: a DreamBooth folder of diffusers, or a LoRA on the preset's weights.

    Raises:
        MissingWeights: neither is there, or a part is missing.
        PresetError: the preset is not one for Stable Diffusion.
    """
    if preset.weights == "bundled":
        raise PresetError(
            f"{path} was not made by normalgen with preset {preset.name}; if it is others' Stable Diffusion (a "
            "DreamBooth folder of diffusers, or a LoRA), add --preset sd15"
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
    """Whether `weights` could be owner/name on the Hugging Face hub."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", weights) is not None and not weights.startswith(".")
