"""What detectors need from an image network."""

from typing import Protocol

from torch import Tensor

__all__ = ["Features", "TextSide"]


class TextSide(Protocol):
    """The text encoder of a vision-language model.

    Attributes:
        width: length of its vectors.
    """

    width: int

    def encode(self, sentences: list[str]) -> Tensor:
        """Return one vector per sentence (n, width), of unit length."""


class Features(Protocol):
    """Patch features on several levels, each with its own grid, and one vector per image.

    Attributes:
        name: network, levels and digits of the weights; with the size it decides every number.
        size: width and height in pixels; images are squashed to it before they enter the network.
        text: the text encoder; None if the network has none.
    """

    name: str
    size: int
    text: TextSide | None

    @property
    def shares(self) -> tuple[float, ...]:
        """How much each level counts in a map that combines them; they sum to 1."""

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return raw patch vectors (N, rows, columns, C) per level, for images (N, 3, S, S) in [0, 1], S any size.

        Raises:
            NotFinite: a vector holds NaN or infinity.
        """

    def image(self, images: Tensor) -> Tensor:
        """Return one vector per image (N, D), of unit length."""
