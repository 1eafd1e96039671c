"""The default features: the embedded vision transformer, with the middle levels of the embedded CNN beside it.

The transformer tells surfaces and parts apart far better; the CNN sees fine grain on a finer grid. Blocks, size, levels
and shares were chosen on the tuning sets (docs/choices.md).
"""

from torch import Tensor

from normalgen.features.contract import TextSide
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.embedded_vit import SIZE, VitFeatures

__all__ = ["EmbeddedFeatures"]

LEVELS = (1, 2)
"""The levels of the CNN that are used."""


class EmbeddedFeatures:
    """Frozen features of images (N, 3, H, W) in [0, 1]: a level of `VitFeatures`, and two of `CnnFeatures`.

    Args:
        device: torch device.
        size: width and height in pixels that the transformer looks at, rounded down to a multiple of 14; the
            CNN looks at 256.

    Attributes:
        name: those of both networks, joined by "+".
        size: the multiple of 14.
        shares: two thirds for the transformer.
        text: None.

    Raises:
        PresetError, MissingDependency, MissingWeights: as `VitFeatures` and `CnnFeatures`.
    """

    def __init__(self, device: str = "cpu", size: int = SIZE) -> None:
        self.vit, self.cnn = VitFeatures(device, size), CnnFeatures(device)
        self.name = f"{self.vit.name}+{self.cnn.name}/{','.join(map(str, LEVELS))}"
        self.size = self.vit.size
        self.shares = (2 / 3, 1 / 6, 1 / 6)
        self.text: TextSide | None = None

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return patch vectors (N, rows, columns, C) per level: 16 x 16 x 384, 32 x 32 x 40 and 16 x 16 x 112."""
        levels = self.cnn.tokens(images)
        return [*self.vit.tokens(images), *(levels[level] for level in LEVELS)]

    def image(self, images: Tensor) -> Tensor:
        """Return the transformer's vector per image (N, 384), of unit length."""
        return self.vit.image(images)
