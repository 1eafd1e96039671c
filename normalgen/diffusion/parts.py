"""What a model is made of, whoever made it: the parts that sampling, restoring and training work with."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from normalgen.diffusion.codec import Codec
from normalgen.diffusion.schedule import NoiseSchedule
from normalgen.errors import MissingWeights
from normalgen.features.weights import refuse_not_finite
from normalgen.io.atomic import write_whole
from normalgen.settings.configs import Method
from normalgen.settings.presets import Preset

__all__ = ["Parts", "digest", "read_weights", "write_halves"]


@dataclass(frozen=True, kw_only=True)
class Parts(ABC):
    """What a model is made of.

    Attributes:
        codec: images to latents and back.
        denoiser: called as diffusers' UNets are.
        prompt_encoder: `prompt_encoder(prompts, noun)`, prompts with `{object}` open, gives text vectors (N, L, D).
        schedule: noise levels, and what the denoiser predicts.
        digest: SHA-256 of the weights.
        adapted: only low-rank adapters are trained and saved, on top of the preset's weights.
        distilled: the `Preset.distilled` that is merged into the weights.
        methods: the `Preset.method`s that can train them.
        twin_trust: the share that counts of how well twins find drawn defects, in (0, 1], where a detector weighs its
            branches; 1 unless it was measured that twins undo drawn defects better than real ones.
    """

    methods: ClassVar[tuple[Method, ...]] = ("full", "lora")
    twin_trust: ClassVar[float] = 1.0
    codec: Codec
    denoiser: nn.Module
    prompt_encoder: nn.Module
    schedule: NoiseSchedule
    digest: str
    adapted: bool = False
    distilled: str = ""

    def modules(self) -> dict[str, nn.Module]:
        """The parts that have weights and may be trained."""
        return {"denoiser": self.denoiser, "prompt_encoder": self.prompt_encoder}

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that ask for gradients, by name."""
        return {
            f"{part}.{name}": parameter
            for part, module in self.modules().items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }

    def to(self, device: str) -> Self:
        """The same parts, moved to `device` (in place, as torch modules move)."""
        layout = torch.channels_last if device == "cpu" else torch.contiguous_format
        self.denoiser.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.prompt_encoder.to(device)
        return self

    def lighten(self) -> None:
        """Keep the weights of the denoiser that are not trained in bfloat16, in place."""
        for parameter in self.denoiser.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)

    @abstractmethod
    def prepare_training(self, preset: Preset) -> Self:
        """Parts in which what the preset trains, by one of `methods`, asks for gradients."""

    @abstractmethod
    def begin_from(self, references: Tensor) -> None:
        """Let what is learned of the object begin as one like `references`, uint8 (k, 3, S, S), where that can be."""

    @abstractmethod
    def save(self, folder: Path) -> Self:
        """Write the trained weights in half precision; returns parts with the rounded weights and their digest."""

    @abstractmethod
    def merge(self, lora: Path) -> Self:
        """Merge a LoRA, file or folder, into the weights, in place; returns parts whose digest covers it.

        Raises:
            PresetError: these parts take none.
            MissingWeights: not there, or not one of this model.
        """


def write_halves(path: Path, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Write `weights` in half precision, whole or not at all; returns the halves."""
    halves = {key: value.detach().half().contiguous().cpu() for key, value in weights.items()}
    write_whole(path, lambda partial: partial.write_bytes(save(halves)))
    return halves


def read_weights(path: Path, remedy: str) -> dict[str, Tensor]:
    """The tensors in a safetensors file.

    Raises:
        MissingWeights: not there, or damaged; `remedy` says what to do.
    """
    try:
        tensors = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise MissingWeights(f"{path} is missing or damaged ({error}); {remedy}") from error
    refuse_not_finite(tensors, path, remedy)
    return tensors


def digest(paths: Iterable[Path], base: str = "") -> str:
    """SHA-256 of the files' contents, one after the other; behind the digest of the weights that they build on."""
    found = hashlib.sha256(base.encode())
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 24):
                found.update(piece)
    return found.hexdigest()
