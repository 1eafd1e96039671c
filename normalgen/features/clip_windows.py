"""CLIP's vectors of an image at several scales, as in WinCLIP (Jeong et al. 2023): the whole, windows, and patches."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from normalgen.errors import PresetError
from normalgen.features.finite import finite
from normalgen.features.open_clip import ClipFeatures

__all__ = ["SIDES", "ClipWindows"]

SIDES = (2, 3)
TOGETHER = 1024
"""Windows in memory at once."""


class ClipWindows:
    """Features with one level per scale: the whole image, its windows, and its patches.

    A window is a square of patches; there is one at every position. It enters the transformer without the rest of the
    image: the class token and its patches, embedded with their positions in the image. Its vector is the projected
    class token, as for the whole image, so both can be compared with sentences. Patch vectors are the last block's raw
    outputs.

    Args:
        clip: the network.
        sides: patches on a side of the windows, one level each.

    Attributes:
        name: the network's, and the sides.
        size: width and height in pixels to which images are squashed.
        text: the text encoder.
        shares: equal.

    Raises:
        PresetError: the windows do not fit into the image.
    """

    def __init__(self, clip: ClipFeatures, sides: Sequence[int] = SIDES) -> None:
        if max(sides) > min(clip.grid):
            raise PresetError(
                f"windows of {max(sides)} x {max(sides)} patches do not fit into {clip.name} at {clip.size} px, which "
                f"has {clip.grid[0]} x {clip.grid[1]}; choose a larger size"
            )
        self.clip = clip
        self.sides = tuple(sides)
        self.name = f"{clip.name}, windows of {', '.join(map(str, sides))}"
        self.size, self.text = clip.size, clip.text
        self.shares = (1 / (len(sides) + 2),) * (len(sides) + 2)

    @torch.inference_mode()
    def tokens(self, images: Tensor) -> list[Tensor]:
        """Return raw vectors of images (N, 3, S, S) in [0, 1], S any size: level by level (N, rows, columns, C).

        First the whole image with one row and one column, then the windows of each side, then the patches.
        """
        entering = self.clip.model.visual._embeds(self.clip.prepared(images))
        leaving = self.clip.model.visual.transformer(entering)
        windows = [self._windows(entering, side) for side in self.sides]
        patches = leaving[:, 1:].reshape(len(images), *self.clip.grid, -1).contiguous()
        return finite([self._projected(leaving)[:, None, None], *windows, patches], self.name)

    def image(self, images: Tensor) -> Tensor:
        """Return the projected class token (N, D), of unit length, to compare with sentences."""
        return self.clip.image(images)

    def _windows(self, entering: Tensor, side: int) -> Tensor:
        """Return the vectors (N, rows, columns, D) of all windows; `entering` is (N, 1 + patches, C).

        Differs: open_clip normalizes tokens one by one before the transformer (`ln_pre`), so it need not be done again
        for each window that holds them, as WinCLIP's codes do.
        """
        rows, columns = self.clip.grid
        numbers = torch.arange(1, rows * columns + 1, device=entering.device).view(rows, columns)
        patches = numbers.unfold(0, side, 1).unfold(1, side, 1).reshape(-1, side * side)
        members = torch.cat([torch.zeros_like(patches[:, :1]), patches], 1)
        parts = torch.split(entering[:, members].flatten(0, 1), TOGETHER)
        vectors = torch.cat([self._projected(self.clip.model.visual.transformer(part)) for part in parts])
        return vectors.view(len(entering), rows - side + 1, columns - side + 1, -1)

    def _projected(self, leaving: Tensor) -> Tensor:
        """Return the projected class tokens (n, D) of sequences (n, tokens, C), of unit length."""
        pooled, _ = self.clip.model.visual._pool(leaving)
        return normalize(pooled @ self.clip.model.visual.proj, dim=-1)
