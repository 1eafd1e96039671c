"""Opens frozen features by name."""

from normalgen.errors import PresetError
from normalgen.features.contract import Features
from normalgen.features.embedded_cnn import LEAST, SIZE, CnnFeatures
from normalgen.features.timm import Layers, TimmFeatures, chosen_layers

__all__ = ["EMBEDDED", "NAMES", "check_features", "open_features", "opened"]

EMBEDDED = "vit:4,5,6,7,8 at 224 px, cnn:1,2 at 256 px"
"""What "embedded" means in this version: runs that were made with another meaning are not continued."""
ALONE = ("embedded", "vit", "cnn", "dinov2", "clip")
WITH_MORE = ("dinov2", "clip", "timm")
NAMES = (*ALONE, "dinov2:FILE", "clip:NAME", "clip:NAME:WEIGHTS", "timm:NAME", "timm:NAME:FILE")
"""What `open_features` accepts: model names of open_clip and timm, tags of open_clip, and files of weights."""


def check_features(name: str) -> None:
    """Check without opening them that features have this name, and that the package of their weights is installed.

    Raises:
        PresetError: no features have this name.
        MissingDependency: the package is not installed.
    """
    kind, *rest = name.split(":", 2)
    if not all(rest) or kind not in (WITH_MORE if rest else ALONE):
        raise PresetError(f"features must be one of {', '.join(NAMES)}, got {name!r}")
    if kind in ("embedded", "vit"):
        from normalgen.features.embedded_vit import vit_file

        vit_file()


def open_features(name: str, *, device: str = "cpu", size: int | None = None, layers: Layers | None = None) -> Features:
    """Return frozen features by name.

    Args:
        name: one of `NAMES`, such as "clip:ViT-B-16-plus-240:laion400m_e31" or "timm:resnet18:resnet18.safetensors".
        device: torch device.
        size: width and height in pixels to which images are squashed; default: 224 for embedded, vit and dinov2, 256
            for cnn, 240 for clip, for timm's the size that the network was trained at.
        layers: for timm's, as in `TimmFeatures`; for vit and dinov2, the blocks whose mean is taken. Others choose.

    Raises:
        PresetError: the name is unknown, or has no such size or layers.
        MissingWeights: the weights are not on this machine and cannot be downloaded.
        MissingDependency: the package is not installed.
    """
    check_features(name)
    kind, *rest = name.split(":", 2)
    if size is not None and size < 1:
        raise PresetError(f"size must be at least 1 pixel, got {size}")
    if layers is not None and kind not in ("vit", "dinov2", "timm"):
        raise PresetError(f"the features {kind!r} have fixed layers; choose layers of vit, dinov2 or timm:NAME")
    if kind == "cnn":
        if size is not None and size < LEAST:
            raise PresetError(f"the features 'cnn' look at {LEAST} px or more, got size {size}")
        return CnnFeatures(device, size or SIZE)
    if kind in ("embedded", "vit", "dinov2"):
        return _transformer(kind, ":".join(rest), device, size, layers)
    if kind == "clip":
        from normalgen.features.open_clip import DEFAULT, ClipFeatures

        model, weights = rest[0] if rest else DEFAULT, rest[1] if len(rest) > 1 else "openai"
        return ClipFeatures(model, weights=weights, size=size or 240, device=device)
    weights = rest[1] if len(rest) > 1 else ""
    return TimmFeatures(rest[0], weights=weights, size=size, layers=layers, device=device)


def opened(features: Features) -> str:
    """Return what decides the numbers of opened features: network, levels, digits of the weights, and size."""
    return f"{features.name} at {features.size} px"


def _transformer(kind: str, weights: str, device: str, size: int | None, layers: Layers | None) -> Features:
    from normalgen.features import embedded
    from normalgen.features.embedded_vit import BLOCKS, DEPTH, SIZE, VitFeatures

    size = size or SIZE
    if kind == "embedded":
        return embedded.EmbeddedFeatures(device, size)
    blocks = BLOCKS if layers is None else chosen_layers(kind, layers, DEPTH)
    return VitFeatures(device, size, blocks, official=kind == "dinov2", weights=weights)
