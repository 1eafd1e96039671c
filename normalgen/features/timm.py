"""Any of timm's backbones: convolutional ones by their middle levels, vision transformers by four blocks."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.errors import MissingDependency, MissingWeights, PresetError
from normalgen.features.contract import TextSide
from normalgen.features.weights import (
    fingerprint,
    first_line,
    normalised,
    quarters,
    quietly,
    read_weights,
    resized,
)

__all__ = ["TimmFeatures", "levels"]

STRIDES = (4, 16)


class TimmFeatures:
    """Frozen features of a network of timm's, such as DINOv2 ("vit_small_patch14_dinov2.lvd142m").

    Images are squashed bicubically (antialiased) to `size` and scaled by the model's own mean and deviation.

    Args:
        name: timm's, with the tag of its weights after a dot.
        weights: "" for those of the hub, or a file: safetensors, or one that holds weights alone.
        size: width and height in pixels; default: those the weights were trained at. Networks with positions resize
            them (bicubic); sizes that they cannot divide into patches or windows are refused.
        device: of torch.

    Attributes:
        name: "timm:", the model, "@", and eight digits of its weights.
        levels: indices of timm's feature maps, see `levels`.
        text: None.

    Raises:
        PresetError: a model that timm does not have, without levels, or not for this size.
        MissingWeights: not on this machine and not to be had, or not this model's.
        MissingDependency: timm is not installed.
    """

    def __init__(self, name: str, *, weights: str = "", size: int | None = None, device: str = "cpu") -> None:
        timm = _package()
        if not timm.is_model(name):
            raise PresetError(f"timm has no model {name!r}; list some with timm.list_models('*part of a name*')")
        network = _load(timm, name, weights)
        if not hasattr(network, "forward_intermediates"):
            raise PresetError(f"timm's {name} gives no feature maps of its levels; use another")
        self.levels = levels([entry["reduction"] for entry in network.feature_info])
        own = timm.data.resolve_model_data_config(network)
        self.mean, self.std = tuple(own["mean"]), tuple(own["std"])
        self.size: int = size or own["input_size"][-1]
        if self.size != own["input_size"][-1]:
            _resize(network, name, self.size)
        self.name = f"timm:{name}@{fingerprint(network)}"
        self.device = device
        self.text: TextSide | None = None
        self.network = network.requires_grad_(False).to(device)

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> list[Tensor]:
        """Raw patch vectors (N, rows, columns, C) of each level; class and register tokens are left out.

        Images (N, 3, S, S) in [0, 1], S any size.
        """
        maps = self.network.forward_intermediates(
            self._seen(images), indices=list(self.levels), stop_early=True, intermediates_only=True, output_fmt="NCHW"
        )
        return [level.permute(0, 2, 3, 1).contiguous() for level in maps]

    @torch.inference_mode()
    def image(self, images: Tensor) -> Tensor:
        """What the network's head would see (N, D), of unit length: pooled features, or the class token."""
        inside = self.network.forward_features(self._seen(images))
        return normalize(self.network.forward_head(inside, pre_logits=True), dim=1)

    def _seen(self, images: Tensor) -> Tensor:
        return normalised(resized(images.to(self.device), self.size), self.mean, self.std)


def levels(strides: list[int]) -> tuple[int, ...]:
    """Which feature maps are used, counted from 0, of a network whose maps have a vector every `strides` pixels.

    Where all have the same stride (plain vision transformers): the last of each quarter. Else those with strides from
    4 to 16, or the first three of a network that has none.
    """
    if len(set(strides)) == 1:
        return tuple(block - 1 for block in quarters(len(strides)))
    middle = tuple(i for i, stride in enumerate(strides) if STRIDES[0] <= stride <= STRIDES[1])
    return middle or tuple(range(len(strides)))[:3]


def _package() -> Any:
    try:
        with quietly():
            import timm
    except ImportError as error:
        raise MissingDependency("timm is not installed; pip install timm") from error
    return timm


def _load(timm: Any, name: str, weights: str) -> Any:
    given = {"state_dict": read_weights(weights)} if weights else None
    try:
        with quietly():
            network: Any = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=given)
    except Exception as error:  # the hub's errors share no base but Exception
        if weights:
            raise MissingWeights(f"{weights} is not weights of timm's {name} ({first_line(error)})") from error
        raise MissingWeights(
            f"the weights of timm's {name} are neither on this machine nor to be had ({first_line(error)}). With a "
            f"connection: hf download timm/{name}; else give a file: timm:{name}:FILE"
        ) from error
    return network.eval()


def _resize(network: Any, name: str, size: int) -> None:
    try:
        with quietly(), torch.no_grad():
            if hasattr(network, "set_input_size"):
                network.set_input_size((size, size))
            network.forward_features(torch.zeros(1, 3, size, size))
    except Exception as error:  # each network has its own words for what does not fit
        raise PresetError(
            f"timm's {name} cannot look at {size} px ({first_line(error)}); choose another size"
        ) from error
