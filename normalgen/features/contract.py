"""What detection asks of a network that looks at images."""

from typing import Protocol

from torch import Tensor

__all__ = ["Features", "TextSide"]


class TextSide(Protocol):
    """The half of a vision-language model that reads sentences.

    Attributes:
        width: of its vectors.
    """

    width: int

    def encode(self, sentences: list[str]) -> Tensor:
        """One vector a sentence (n, width), of unit length."""


class Features(Protocol):
    """Patch features on several levels, each with its own grid, and one vector an image.

    Attributes:
        name: such as "embedded"; with the weights it decides every number.
        size: width and height, pixels, that images are resized to (squashed) before they are looked at.
        text: the text side; None where there is none.
    """

    name: str
    size: int
    text: TextSide | None

    def tokens(self, images: Tensor) -> list[Tensor]:
        """Raw patch vectors (N, rows, columns, C) of each level, of images (N, 3, S, S) in [0, 1], S any size."""

    def image(self, images: Tensor) -> Tensor:
        """One vector an image (N, D), of unit length."""
