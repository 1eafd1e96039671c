"""The parts of `tiny`: the prior bundled with the package, or another prior of the same kind."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NotRequired

import torch
from annotated_types import Interval
from torch import Tensor
from typing_extensions import TypedDict

from normalgen.diffusion.codec import PixelCodec
from normalgen.diffusion.lora import add_lora
from normalgen.diffusion.parts import Parts, digest, read_weights, write_halves
from normalgen.diffusion.schedule import cosine_schedule
from normalgen.diffusion.tiny.text_encoder import WordEncoder
from normalgen.diffusion.tiny.unet import TinyConfig, TinyDenoiser
from normalgen.errors import DataError, MissingWeights, PresetError
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.weights import first_line
from normalgen.io.records import read_json, write_record
from normalgen.settings.presets import Preset

__all__ = ["BUNDLED", "CONFIG", "TinyParts", "bundled_files", "load_adapters", "new_tiny", "open_tiny"]

BUNDLED = Path(__file__).parent / "prior"
WEIGHTS, CONFIG, ADAPTERS = "tiny.safetensors", "tiny.json", "lora.safetensors"
_REMEDY = "reinstall normalgen if it is the bundled prior, else customize again"


Size = Annotated[int, Interval(ge=1, le=8192)]


class _Config(TypedDict):
    """`tiny.json`: the sizes of `TinyConfig`, and the SHA-256 of the weights."""

    channels: list[Size]
    layers: Size
    text: Size
    patch: Size
    fine: Size
    fine_layers: Size
    weights: NotRequired[str]


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
        features = CnnFeatures()
        rows = [features.statistics(image[None].float() / 255) for image in references]
        self.prompt_encoder.start_from(torch.cat(rows))

    def save(self, folder: Path) -> "TinyParts":
        """Write all weights, or only the adapters; return these parts with the rounded weights and their digest."""
        if self.adapted:
            name, weights = ADAPTERS, {key: p.detach() for key, p in self.trainable().items()}
        else:
            name, weights = WEIGHTS, self._state()
        self._fill(write_halves(folder / name, weights))
        known = digest([folder / name], self.base)
        if not self.adapted:
            write_record(folder / CONFIG, self.denoiser.settings() | {"weights": known})
        return replace(self, digest=known)

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
    path, weights = folder / CONFIG, read_weights(folder / WEIGHTS, _REMEDY)
    settings = read_json(path, _Config, _REMEDY)
    if settings is None:
        raise MissingWeights(f"{path} is missing; {_REMEDY}")
    known = digest([folder / WEIGHTS])
    if settings.get("weights", known) != known:
        raise MissingWeights(f"{folder / WEIGHTS} is damaged: its SHA-256 is not the one in {CONFIG}; {_REMEDY}")
    sizes = {name: settings[name] for name in ("layers", "text", "patch", "fine", "fine_layers")}
    try:
        parts = new_tiny(TinyConfig(tuple(settings["channels"]), **sizes), seed=0)
        parts._fill(weights)
    except (ValueError, TypeError, RuntimeError) as error:
        raise MissingWeights(f"{path} does not fit its weights ({first_line(error)}); {_REMEDY}") from error
    return replace(parts, digest=known)


def load_adapters(parts: TinyParts, folder: Path, preset: Preset) -> TinyParts:
    """Return `parts` with the adapters that `TinyParts.save` wrote to `folder`.

    Raises:
        MissingWeights: the adapters are missing or damaged.
    """
    adapted = parts.prepare_training(preset)
    adapted._fill(read_weights(folder / ADAPTERS, _REMEDY))
    return replace(adapted, digest=digest([folder / ADAPTERS], adapted.base))
