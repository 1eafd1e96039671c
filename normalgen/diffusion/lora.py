"""Low-rank adapters (Hu et al. 2022): peft adds them to the denoiser's attention; `merge_lora` merges them from a file.

Merging uses no adapter code of transformers or diffusers, because that needs certain versions of peft.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from normalgen.features.weights import refuse_not_finite
from normalgen.io.optional import optional_module
from normalgen.io.records import parse

__all__ = ["add_lora", "merge_lora"]

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
NAME = re.compile(
    r"(?P<part>unet\.|lora_unet_|text_encoder\.|lora_te1?_)(?P<layer>.+?)"
    r"(?:[._]lora(?:_linear_layer)?[._](?P<half>A|B|down|up)\.weight|\.(?P<alpha>alpha))"
)
HALVES = {"A": "down", "down": "down", "B": "up", "up": "up", None: "alpha"}


def add_lora(denoiser: nn.Module, rank: int) -> None:
    """Freeze `denoiser` and add trainable adapters of `rank` (alpha = rank) to its attention, in place.

    They start as in diffusers' DreamBooth example: one half random (standard deviation 1 / rank), one half 0.
    """
    peft = optional_module("peft", "sd")
    denoiser.requires_grad_(False)
    config = peft.LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=TARGETS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        peft.inject_adapter_in_model(config, denoiser)
    for parameter in denoiser.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


@dataclass(frozen=True)
class Update:
    """The change of a linear or convolutional layer's weight: scale * up @ down."""

    weight: Tensor
    up: Tensor
    down: Tensor
    scale: float

    def apply(self) -> None:
        """Add the change to the weight, in place."""
        delta = self.scale * (self.up.float().flatten(1) @ self.down.float().flatten(1))
        self.weight.data += delta.view(self.weight.shape).to(self.weight)


def merge_lora(parts: Mapping[str, nn.Module], file: Path) -> set[str]:
    """Add a LoRA to the weights of `parts` ("unet", "text_encoder"), in place; return the names of the changed parts.

    Layers may have the names of diffusers (with or without peft), peft or kohya. A weight W becomes
    W + alpha / rank * up @ down; alpha is the file's, else the rank.

    Raises:
        ValueError: the file is not a LoRA, or not for these parts; nothing is changed.
        MissingWeights: a weight is not finite.
    """
    tensors = load_file(file)
    refuse_not_finite(tensors, file, "train it again")
    layers, settings = _layers(tensors), _settings(file)
    weights = {part: _weights(part, module) for part, module in parts.items()}
    updates = [
        _update(weights[part].get(_flat(part, layer)), f"{part}.{layer}", tensors, settings)
        for (part, layer), tensors in layers.items()
    ]
    for update in updates:
        update.apply()
    return {part for part, _ in layers}


def _layers(tensors: Mapping[str, Tensor]) -> dict[tuple[str, str], dict[str, Tensor]]:
    """Return the tensors "up", "down" and perhaps "alpha" of each layer, by part and the layer's name in the file."""
    layers: dict[tuple[str, str], dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{name} is not a weight of a LoRA for unet or text_encoder")
        part = "unet" if "unet" in match["part"] else "text_encoder"
        layers.setdefault((part, match["layer"]), {})[HALVES[match["half"]]] = tensor
    if not layers:
        raise ValueError("it holds no weights")
    return layers


def _settings(file: Path) -> dict[str, Any]:
    """Return peft's settings of the adapters, such as `unet.lora_alpha`, from the metadata that diffusers writes."""
    with safe_open(file, "pt") as tensors:
        return parse((tensors.metadata() or {}).get("lora_adapter_metadata", "{}").encode(), dict[str, Any])


def _weights(part: str, module: nn.Module) -> dict[str, Tensor]:
    layers = ((name, layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    return {_flat(part, name): layer.weight for name, layer in layers}


def _flat(part: str, layer: str) -> str:
    """Return a layer's name with `_` for `.`, as kohya writes it; the same for all naming schemes."""
    flat = layer.replace(".processor", "").replace(".", "_").removeprefix("text_model_")
    if part == "unet":
        return re.sub(r"to_out$", "to_out_0", flat)
    return re.sub(r"to_(q|k|v|out)$", r"\1_proj", flat)


def _update(weight: Tensor | None, name: str, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Update:
    if weight is None:
        raise ValueError(f"the model has no layer {name}")
    if not {"up", "down"} <= tensors.keys():
        raise ValueError(f"{name} must have up and down, got only {' and '.join(sorted(tensors))}")
    up, down = tensors["up"], tensors["down"]
    fits = (len(up), up[0].numel(), down[0].numel()) == (len(weight), len(down), weight[0].numel())
    if not fits:
        shapes = " and ".join(str(tuple(half.shape)) for half in (up, down))
        raise ValueError(f"{name} is {tuple(weight.shape)} in the model; up and down of {shapes} do not fit")
    return Update(weight, up, down, _scale(name, len(down), tensors.get("alpha"), settings))


def _scale(name: str, rank: int, alpha: Tensor | None, settings: Mapping[str, Any]) -> float:
    """Return alpha / rank, or alpha / sqrt(rank) for rank-stabilized adapters (Kalajdzievski 2023)."""
    part, _, layer = name.partition(".")
    if alpha is not None:
        return float(alpha) / rank
    if f"{part}.lora_alpha" not in settings:
        return 1.0
    alphas = settings.get(f"{part}.alpha_pattern") or {}
    value = alphas.get(
        optional_module("peft.utils.other", "sd").get_pattern_key(alphas, layer), settings[f"{part}.lora_alpha"]
    )
    return float(value / (rank**0.5 if settings.get(f"{part}.use_rslora") else rank))
