"""What a model is made of, and where it is opened from: the prior bundled with the package, or a saved model."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from normalgen.diffusion.codec import Codec, PixelCodec
from normalgen.diffusion.denoiser import TinyConfig, TinyDenoiser
from normalgen.diffusion.lora import add_lora
from normalgen.diffusion.schedule import NoiseSchedule, cosine_schedule
from normalgen.diffusion.words import WordEncoder
from normalgen.errors import DataError, MissingWeights
from normalgen.features import EmbeddedFeatures
from normalgen.files import write_json, write_whole
from normalgen.presets import Preset

__all__ = [
    "BUNDLED",
    "Parts",
    "bundled_files",
    "learn_kind",
    "new_tiny",
    "open_parts",
    "open_saved",
    "open_tiny",
    "prepare_training",
]

BUNDLED = Path(__file__).parent / "prior"
WEIGHTS, CONFIG, ADAPTERS = "tiny.safetensors", "tiny.json", "lora.safetensors"


@dataclass(frozen=True)
class Parts:
    """What a model is made of.

    Attributes:
        codec: images to latents and back.
        denoiser: called as diffusers' UNets are.
        prompt_encoder: `prompt_encoder(prompts, noun)`, prompts with `{object}` open, gives text vectors (N, L, D).
        schedule: noise levels, and what the denoiser predicts.
        digest: SHA-256 of the weights.
        adapted: only low-rank adapters are trained and saved, on top of the preset's weights.
    """

    codec: Codec
    denoiser: nn.Module
    prompt_encoder: nn.Module
    schedule: NoiseSchedule
    digest: str
    adapted: bool = False

    def to(self, device: str) -> "Parts":
        """The same parts, moved to `device` (in place, as torch modules move)."""
        layout = torch.channels_last if device == "cpu" else torch.contiguous_format
        self.denoiser.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.prompt_encoder.to(device)
        return self

    def modules(self) -> dict[str, nn.Module]:
        """The parts that have weights."""
        return {"denoiser": self.denoiser, "prompt_encoder": self.prompt_encoder}

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that ask for gradients, by name."""
        return {
            f"{part}.{name}": parameter
            for part, module in self.modules().items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }

    def save(self, folder: Path) -> "Parts":
        """Write the weights in half precision; returns these parts with the rounded weights and their digest."""
        if self.adapted:
            name, weights = ADAPTERS, {key: p.detach() for key, p in self.trainable().items()}
        else:
            name, weights = WEIGHTS, self._state()
            write_json(folder / CONFIG, self.denoiser.settings())  # type: ignore[operator]
        halves = {key: value.half().contiguous().cpu() for key, value in weights.items()}
        write_whole(folder / name, lambda path: path.write_bytes(save(halves)))
        self._fill(halves)
        return replace(self, digest=_digest(folder / name))

    def _state(self) -> dict[str, Tensor]:
        states = {part: module.state_dict() for part, module in self.modules().items()}
        return {f"{part}.{key}": value for part, state in states.items() for key, value in state.items()}

    @torch.no_grad()
    def _fill(self, weights: dict[str, Tensor]) -> None:
        state = self._state()
        wanted = set(self.trainable() if self.adapted else state)
        if set(weights) != wanted or any(weights[key].shape != state[key].shape for key in wanted):
            raise DataError(f"the weights are of another version of normalgen; {_REMEDY}")
        for key, value in weights.items():
            state[key].copy_(value)


def bundled_files() -> tuple[Path, Path]:
    """The bundled prior's weights and configuration, there or not."""
    return BUNDLED / WEIGHTS, BUNDLED / CONFIG


def open_parts(weights: str) -> Parts:
    """The un-customized parts that `Preset.weights` names.

    Raises:
        MissingWeights: they are not there.
    """
    if weights == "bundled":
        return open_tiny(BUNDLED)
    if not Path(weights).is_dir():
        raise MissingWeights(f"weights must be 'bundled' or a folder with {WEIGHTS}, got {weights!r}")
    return open_tiny(Path(weights))


def open_saved(folder: Path, preset: Preset) -> Parts:
    """The parts of a customized model.

    Raises:
        MissingWeights: its weights, or those it builds on, are not there.
    """
    if preset.method != "lora":
        return open_tiny(folder)
    parts = prepare_training(open_parts(preset.weights), preset)
    parts._fill(_read_weights(folder / ADAPTERS))
    return replace(parts, digest=_digest(folder / ADAPTERS))


def prepare_training(parts: Parts, preset: Preset) -> Parts:
    """Parts in which what the preset trains asks for gradients: denoiser, fine stage, adapters; the object's token."""
    parts.prompt_encoder.requires_grad_(False)
    if isinstance(parts.prompt_encoder, WordEncoder):
        parts.prompt_encoder.object.requires_grad_(True)
    parts.denoiser.requires_grad_(preset.method == "full")
    if preset.method == "fine":
        parts.denoiser.get_submodule("fine").requires_grad_(True)
    if preset.method != "lora":
        return parts
    add_lora(parts.denoiser, preset.rank)
    return replace(parts, adapted=True)


def learn_kind(parts: Parts, references: Tensor) -> None:
    """Let the object's token begin as one like `references`, uint8 (k, 3, S, S); nothing where words stand for it."""
    if isinstance(parts.prompt_encoder, WordEncoder):
        features = EmbeddedFeatures()
        rows = [features.statistics(image[None].float() / 255) for image in references]
        parts.prompt_encoder.start_from(torch.cat(rows))


def new_tiny(config: TinyConfig, *, seed: int) -> Parts:
    """Untrained tiny parts, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        schedule = cosine_schedule(1000, "x0")
        denoiser = TinyDenoiser(config, schedule)
        codec = PixelCodec(config.patch, denoiser.multiple)
        return Parts(codec, denoiser, WordEncoder(config.text), schedule, "untrained")


def open_tiny(folder: Path) -> Parts:
    """Tiny parts from a folder that `Parts.save` wrote.

    Raises:
        MissingWeights: a file is not there, or is damaged.
    """
    weights = _read_weights(folder / WEIGHTS)
    try:
        settings: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config = TinyConfig(**settings | {"channels": tuple(settings["channels"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingWeights(f"{folder / CONFIG} is missing or damaged ({error}); {_REMEDY}") from error
    parts = new_tiny(config, seed=0)
    parts._fill(weights)
    return replace(parts, digest=_digest(folder / WEIGHTS))


_REMEDY = "reinstall normalgen if it is the bundled prior, else customize again"


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise MissingWeights(f"{path} is missing or damaged ({error}); {_REMEDY}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
