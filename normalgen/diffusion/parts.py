"""The parts of a model, the same for all presets: sampling, restoring and training use only these."""

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
    """The parts of a model.

    Attributes:
        codec: converts images to latents and back.
        denoiser: has the call signature of diffusers' UNets.
        prompt_encoder: `prompt_encoder(prompts, noun)` returns text vectors (N, L, D) of prompts with `{object}`.
        schedule: noise levels, and what the denoiser predicts.
        digest: SHA-256 of the weights.
        adapted: only low-rank adapters are trained and saved, on top of the preset's weights.
        distilled: the `Preset.distilled` that is merged into the weights.
        methods: each `Preset.method` that can train them.
        twin_trust: factor in (0, 1] on how well twins find drawn defects, when a detector weighs its branches; below 1
            only if measurements show that twins undo drawn defects better than real ones.
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
        """Return the parts that have weights and can be trained."""
        return {"denoiser": self.denoiser, "prompt_encoder": self.prompt_encoder}

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that require gradients, by name."""
        return {
            f"{part}.{name}": parameter
            for part, module in self.modules().items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }

    def to(self, device: str) -> Self:
        """Move the parts to `device`, in place, and return them."""
        layout = torch.channels_last if device == "cpu" else torch.contiguous_format
        self.denoiser.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.prompt_encoder.to(device)
        return self

    def lighten(self) -> None:
        """Convert the denoiser's untrained weights to bfloat16, in place."""
        for parameter in self.denoiser.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)

    @abstractmethod
    def prepare_training(self, preset: Preset) -> Self:
        """Return parts in which the weights that the preset trains, by one of `methods`, require gradients."""

    @abstractmethod
    def begin_from(self, references: Tensor) -> None:
        """Initialize the learned object from `references`, uint8 (k, 3, S, S), if the parts can."""

    @abstractmethod
    def save(self, folder: Path) -> Self:
        """Write the trained weights in half precision; return parts with the rounded weights and their digest."""

    @abstractmethod
    def merge(self, lora: Path) -> Self:
        """Merge a LoRA, file or folder, into the weights, in place; return parts whose digest covers it.

        Raises:
            PresetError: these parts take no LoRA.
            MissingWeights: the LoRA does not exist, or is not for this model.
        """


def write_halves(path: Path, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Write `weights` in half precision, completely or not at all; return the rounded weights."""
    halves = {key: value.detach().half().contiguous().cpu() for key, value in weights.items()}
    write_whole(path, lambda partial: partial.write_bytes(save(halves)))
    return halves


def read_weights(path: Path, remedy: str) -> dict[str, Tensor]:
    """Return the tensors in a safetensors file.

    Raises:
        MissingWeights: the file is missing or damaged; `remedy` says what to do.
    """
    try:
        tensors = load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise MissingWeights(f"{path} is missing or damaged ({error}); {remedy}") from error
    refuse_not_finite(tensors, path, remedy)
    return tensors


def digest(paths: Iterable[Path], base: str = "") -> str:
    """Return SHA-256 of `base`, the digest of the weights that they build on, and the files' contents in order."""
    hasher = hashlib.sha256(base.encode())
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 24):
                hasher.update(piece)
    return hasher.hexdigest()
