"""Features of the middle of images, for papers that resize to 256 pixels and cut out the middle 224."""

import torch
from torch import Tensor

from normalgen.features.contract import Features, TextSide
from normalgen.features.weights import resized

__all__ = ["InnerFeatures"]


class InnerFeatures:
    """Features of images without their border.

    Args:
        network: sees the middle at its own size.
        border: pixels to cut off at each side.

    Attributes:
        name: the network's, and the border.
        size: the network's, with the border.
    """

    def __init__(self, network: Features, border: int) -> None:
        self.network, self.border = network, border
        self.name = f"{network.name} inside {border} px"
        self.size = network.size + 2 * border
        self.text: TextSide | None = network.text

    @property
    def shares(self) -> tuple[float, ...]:
        """The network's."""
        return self.network.shares

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return the network's patch vectors of the middle of images (N, 3, S, S) in [0, 1], S any size."""
        return self.network.tokens(self._inner(images))

    def image(self, images: Tensor) -> Tensor:
        """Return the network's vector of the middle of each image."""
        return self.network.image(self._inner(images))

    def _inner(self, images: Tensor) -> Tensor:
        whole = resized(images, self.size)
        return torch.narrow(whole.narrow(2, self.border, self.network.size), 3, self.border, self.network.size)
