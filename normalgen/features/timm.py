"""Features of any timm backbone: middle levels of convolutional ones, four blocks of vision transformers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.errors import MissingDependency, MissingWeights, PresetError
from normalgen.features.contract import TextSide
from normalgen.features.finite import finite
from normalgen.features.weights import (
    fingerprint,
    first_line,
    normalised,
    quarters,
    quietly,
    read_weights,
    resized,
)

__all__ = ["Layers", "TimmFeatures", "chosen_layers", "levels", "load_timm", "timm_package"]

STRIDES = (4, 16)
Layers = Sequence[int] | Callable[[int], Sequence[int]]
"""Indices from 0, or from the end if negative; or what returns them for a number of layers."""


class TimmFeatures:
    """Frozen features of a timm network, such as DINOv2 ("vit_small_patch14_dinov2.lvd142m").

    Images are squashed bicubically (antialiased) to `size` and scaled by the model's own mean and deviation.

    Args:
        name: timm's, with the tag of its weights after a dot.
        weights: "" for the hub's, or a file: safetensors, or one that holds only weights.
        size: width and height in pixels; default: the size that the weights were trained at. Networks with positions
            resize them (bicubic), and refuse sizes that do not divide into patches or windows.
        layers: indices of timm's feature maps, or of blocks; default: see `levels`. A transformer's last block comes
            after its final norm.
        device: torch device.

    Attributes:
        name: "timm:", the model, "@", and eight digits of its weights.
        levels: indices of timm's feature maps, see `levels`.
        shares: equal.
        text: None.

    Raises:
        PresetError: timm does not have the model, or it has no levels or cannot take this size.
        MissingWeights: the weights are not on this machine and cannot be downloaded, or are another model's.
        MissingDependency: timm is not installed.
    """

    def __init__(
        self,
        name: str,
        *,
        weights: str = "",
        size: int | None = None,
        layers: Layers | None = None,
        device: str = "cpu",
    ) -> None:
        timm = timm_package()
        if not timm.is_model(name):
            raise PresetError(f"timm has no model {name!r}; list names with timm.list_models('*part of a name*')")
        network = load_timm(timm, name, weights)
        if not hasattr(network, "forward_intermediates"):
            raise PresetError(f"timm's {name} gives no feature maps; use another model")
        strides = [entry["reduction"] for entry in network.feature_info]
        self.levels = levels(strides) if layers is None else chosen_layers(f"timm's {name}", layers, len(strides))
        self.norm = layers is not None and len(set(strides)) == 1 and self.levels[-1] == len(strides) - 1
        own = timm.data.resolve_model_data_config(network)
        self.mean, self.std = tuple(own["mean"]), tuple(own["std"])
        self.size: int = size or own["input_size"][-1]
        if self.size != own["input_size"][-1]:
            _resize(network, name, self.size)
        chosen = "" if layers is None else f"/{','.join(map(str, self.levels))}"
        self.name = f"timm:{name}@{fingerprint(network)}{chosen}"
        self.device = device
        self.shares = (1 / len(self.levels),) * len(self.levels)
        self.text: TextSide | None = None
        self.network = network.requires_grad_(False).to(device)

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return raw patch vectors (N, rows, columns, C) per level, without class and register tokens.

        Images (N, 3, S, S) in [0, 1], S any size.
        """
        maps = self.network.forward_intermediates(
            self._prepared(images),
            indices=list(self.levels),
            norm=self.norm,
            stop_early=True,
            intermediates_only=True,
            output_fmt="NCHW",
        )
        return finite([level.permute(0, 2, 3, 1).contiguous() for level in maps], self.name)

    @torch.inference_mode()
    def image(self, images: Tensor) -> Tensor:
        """Return the input of the network's head (N, D), of unit length: pooled features, or the class token."""
        features = self.network.forward_features(self._prepared(images))
        return normalize(self.network.forward_head(features, pre_logits=True), dim=1)

    def _prepared(self, images: Tensor) -> Tensor:
        return normalised(resized(images.to(self.device), self.size), self.mean, self.std)


def levels(strides: list[int]) -> tuple[int, ...]:
    """Return the indices, from 0, of the feature maps to use; map i has a vector every `strides[i]` pixels.

    If all have the same stride (plain vision transformers), these are the last of each quarter; else the maps with
    strides from 4 to 16, or the first three if there are none.
    """
    if len(set(strides)) == 1:
        return tuple(block - 1 for block in quarters(len(strides)))
    middle = tuple(i for i, stride in enumerate(strides) if STRIDES[0] <= stride <= STRIDES[1])
    return middle or tuple(range(len(strides)))[:3]


def chosen_layers(name: str, layers: Layers, count: int) -> tuple[int, ...]:
    """Return which of a network's `count` layers are chosen, counted from 0.

    Raises:
        PresetError: none is chosen, or the network lacks one.
    """
    wanted = layers(count) if callable(layers) else layers
    chosen = tuple(layer + count if layer < 0 else layer for layer in wanted)
    if not chosen or not all(0 <= layer < count for layer in chosen):
        raise PresetError(f"{name} has the layers 0 to {count - 1}, got {[*wanted]}")
    return chosen


def timm_package() -> Any:
    """Import timm; raises MissingDependency if it is not installed."""
    try:
        with quietly():
            import timm
    except ImportError as error:
        raise MissingDependency("timm is not installed; pip install timm") from error
    return timm


def load_timm(timm: Any, name: str, weights: str) -> Any:
    """Return timm's network with its weights from a file, or from the hub if `weights` is "".

    Raises:
        MissingWeights: the weights are not on this machine and cannot be downloaded, or are another model's.
    """
    overlay = {"state_dict": read_weights(weights)} if weights else None
    try:
        with quietly():
            network: Any = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:  # the hub's errors share no base but Exception
        if weights:
            raise MissingWeights(f"{weights} does not hold weights of timm's {name} ({first_line(error)})") from error
        raise MissingWeights(
            f"the weights of timm's {name} are not on this machine and cannot be downloaded ({first_line(error)}). "
            f"With a connection: hf download timm/{name}; else give a file: timm:{name}:FILE"
        ) from error
    return network.eval()


def _resize(network: Any, name: str, size: int) -> None:
    try:
        with quietly(), torch.no_grad():
            if hasattr(network, "set_input_size"):
                network.set_input_size((size, size))
            network.forward_features(torch.zeros(1, 3, size, size))
    except Exception as error:  # each network raises its own kind of error
        raise PresetError(f"timm's {name} cannot take {size} px ({first_line(error)}); choose another size") from error
