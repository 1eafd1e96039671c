"""The parts of `tiny`: the prior bundled with the package, or another prior of the same kind."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from normalgen.diffusion.codec import PixelCodec
from normalgen.diffusion.lora import add_lora
from normalgen.diffusion.parts import Parts, digest, read_weights, write_halves
from normalgen.diffusion.schedule import cosine_schedule
from normalgen.diffusion.tiny.text_encoder import WordEncoder
from normalgen.diffusion.tiny.unet import TinyConfig, TinyDenoiser
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.features.efficientnet_lite import EmbeddedFeatures
from normalgen.io.atomic import write_json
from normalgen.settings.presets import Preset

__all__ = ["BUNDLED", "CONFIG", "TinyParts", "bundled_files", "load_adapters", "new_tiny", "open_tiny"]

BUNDLED = Path(__file__).parent / "prior"
WEIGHTS, CONFIG, ADAPTERS = "tiny.safetensors", "tiny.json", "lora.safetensors"
_REMEDY = "reinstall normalgen if it is the bundled prior, else customize again"


@dataclass(frozen=True, kw_only=True)
class TinyParts(Parts):
    """Exact patches of pixels, a small denoiser, known words and one learned token.

    `base` is the digest of the weights that adapters build on. `twin_trust` was chosen on screws and hazelnuts with the
    preset `tiny` (docs/detection.md): its twins undo drawn defects far better than real ones.
    """

    methods = ("full", "fine", "lora")
    twin_trust = 0.1
    denoiser: TinyDenoiser
    prompt_encoder: WordEncoder
    base: str = ""

    def prepare_training(self, preset: Preset) -> "TinyParts":
        """Return parts in which the denoiser or adapters, and the object's token, or only the fine stage, can train.

        The fine stage follows the trunk, so training it alone needs no gradient of the trunk: a step takes two thirds
        of the time.
        """
        self.prompt_encoder.requires_grad_(False)
        self.prompt_encoder.object.requires_grad_(preset.train.method != "fine")
        self.denoiser.requires_grad_(preset.train.method == "full")
        if preset.train.method == "fine":
            self.denoiser.get_submodule("fine").requires_grad_(True)
        if preset.train.method != "lora":
            return self
        add_lora(self.denoiser, preset.train.rank)
        return replace(self, adapted=True, base=self.digest)

    def begin_from(self, references: Tensor) -> None:
        """Initialize the object's token from `references`, uint8 (k, 3, S, S)."""
        features = EmbeddedFeatures()
        rows = [features.statistics(image[None].float() / 255) for image in references]
        self.prompt_encoder.start_from(torch.cat(rows))

    def save(self, folder: Path) -> "TinyParts":
        """Write all weights, or only the adapters; return these parts with the rounded weights and their digest."""
        if self.adapted:
            name, weights = ADAPTERS, {key: p.detach() for key, p in self.trainable().items()}
        else:
            name, weights = WEIGHTS, self._state()
            write_json(folder / CONFIG, self.denoiser.settings())
        self._fill(write_halves(folder / name, weights))
        return replace(self, digest=digest([folder / name], self.base))

    def merge(self, lora: Path) -> "TinyParts":
        """Raise `PresetError`: the tiny preset takes no LoRA."""
        raise PresetError(f"{lora} is a LoRA, which the tiny preset does not take; use --preset sd15")

    def _state(self) -> dict[str, Tensor]:
        states = {part: module.state_dict() for part, module in self.modules().items()}
        return {f"{part}.{key}": value for part, state in states.items() for key, value in state.items()}

    @torch.no_grad()
    def _fill(self, weights: dict[str, Tensor]) -> None:
        state = self._state()
        expected = set(self.trainable() if self.adapted else state)
        if set(weights) != expected or any(weights[key].shape != state[key].shape for key in expected):
            raise DataError(f"the weights are from another version of normalgen; {_REMEDY}")
        for key, value in weights.items():
            state[key].copy_(value)


def bundled_files() -> tuple[Path, Path]:
    """Return the paths of the bundled prior's weights and configuration, even if they are missing."""
    return BUNDLED / WEIGHTS, BUNDLED / CONFIG


def new_tiny(config: TinyConfig, *, seed: int) -> TinyParts:
    """Return untrained tiny parts; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        schedule = cosine_schedule(1000, "x0")
        denoiser = TinyDenoiser(config, schedule)
        return TinyParts(
            codec=PixelCodec(config.patch, denoiser.multiple),
            denoiser=denoiser,
            prompt_encoder=WordEncoder(config.text),
            schedule=schedule,
            digest="untrained",
        )


def open_tiny(folder: Path) -> TinyParts:
    """Return tiny parts from a folder that `TinyParts.save` wrote.

    Raises:
        MissingWeights: a file is missing or damaged.
    """
    weights = read_weights(folder / WEIGHTS, _REMEDY)
    try:
        settings: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config = TinyConfig(**settings | {"channels": tuple(settings["channels"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingWeights(f"{folder / CONFIG} is missing or damaged ({error}); {_REMEDY}") from error
    parts = new_tiny(config, seed=0)
    parts._fill(weights)
    return replace(parts, digest=digest([folder / WEIGHTS]))


def load_adapters(parts: TinyParts, folder: Path, preset: Preset) -> TinyParts:
    """Return `parts` with the adapters that `TinyParts.save` wrote to `folder`.

    Raises:
        MissingWeights: the adapters are missing or damaged.
    """
    adapted = parts.prepare_training(preset)
    adapted._fill(read_weights(folder / ADAPTERS, _REMEDY))
    return replace(adapted, digest=digest([folder / ADAPTERS], adapted.base))
