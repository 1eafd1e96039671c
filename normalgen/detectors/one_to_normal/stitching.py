"""Joins the maps and twins of tiles, and gives each photo one score."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.detectors.base import Explanation
from normalgen.images.crop import Crop
from normalgen.images.images import Photo
from normalgen.images.tiles import squashed, windows

__all__ = ["Canvas", "explain_tiles", "highest", "same_size"]

TWIN_SIDE = 2048
"""Most pixels on the longer side of a joined twin."""


class Canvas:
    """The values of a photo, joined from its tiles; where tiles overlap, the one with the nearer centre counts more.

    Args:
        photo: width and height of the photo, in pixels.
        width: width of the canvas.
        height: height of the canvas.
        channels: channels of the values.
    """

    def __init__(self, photo: tuple[int, int], width: int, height: int, channels: int = 1) -> None:
        self.across, self.down = width / photo[0], height / photo[1]
        self.total = torch.zeros(channels, height, width)
        self.weight = torch.zeros(height, width)

    @classmethod
    def of_cells(cls, photo: tuple[int, int], tile: Crop, grid: Sequence[int]) -> "Canvas":
        """Return a canvas on which each tile keeps the cells of its map, `grid` (rows, columns)."""
        (rows, columns), (_, _, width, height) = grid, tile
        return cls(photo, _rounded(photo[0] * columns / width), _rounded(photo[1] * rows / height))

    def add(self, tiles: Tensor, boxes: Sequence[Crop]) -> None:
        """Add the values of tiles (N, C, h, w), each resized to its part of the canvas."""
        for values, (x, y, width, height) in zip(tiles, boxes, strict=True):
            left, right = (_rounded(edge * self.across) for edge in (x, x + width))
            top, bottom = (_rounded(edge * self.down) for edge in (y, y + height))
            size = (bottom - top, right - left)
            if values.shape[1:] != size:
                values = interpolate(values[None].float(), size, mode="bilinear", antialias=True)[0]
            weight = _tent(size[0])[:, None] * _tent(size[1])
            self.total[:, top:bottom, left:right] += values.cpu() * weight
            self.weight[top:bottom, left:right] += weight

    def result(self) -> Tensor:
        """Return the joined values (C, H, W)."""
        return self.total / self.weight.clamp(min=1e-12)


def explain_tiles(
    explain: Callable[[Tensor, Sequence[str]], Explanation], photo: Photo, side: int, size: int, batch: int
) -> Explanation:
    """Return the explanation of one photo; its tiles are judged in batches.

    Its scores are the highest scores of its tiles. Its maps have the cells of all tiles; its twin has at most 2048
    pixels on a side.

    Args:
        explain: judges images (N, 3, S, S) in [0, 1] named by keys.
        photo: read with its image.
        side: width and height of a tile, in pixels of the photo.
        size: width and height that tiles are resized to, in pixels.
        batch: tiles per batch.
    """
    if photo.image is None:
        raise ValueError(f"the photo {photo.name} has no image; read it whole")
    shape, canvases = photo.image.size, dict[str, Canvas]()
    scores: list[dict[str, Tensor]] = []
    twin: Canvas | None = None
    for boxes in _split(windows(*shape, side), batch):
        part = explain(squashed(photo.image, boxes, size), [f"{photo.key}-{box}" for box in boxes])
        scores.append(part.scores)
        for name, maps in {"": part.maps, **part.branch_maps}.items():
            canvas = canvases.setdefault(name, Canvas.of_cells(shape, boxes[0], maps.shape[1:]))
            canvas.add(maps[:, None], boxes)
        if part.twins is not None:
            twin = twin or _twin_canvas(shape)
            twin.add(part.twins, boxes)
    best = {name: torch.cat([part[name] for part in scores]).amax(0, keepdim=True) for name in scores[0]}
    joined = {name: canvas.result() for name, canvas in canvases.items()}
    twins = None if twin is None else twin.result()[None]
    return Explanation(photo.pixels[None].float() / 255, twins, best, joined.pop(""), joined)


def highest(scores: Tensor, views: Sequence[int]) -> Tensor:
    """Return the highest score of each view; `scores` (N,) are of tiles, `views` the number of each tile's view."""
    numbers = torch.tensor(views)
    return torch.full((int(numbers.max()) + 1,), -torch.inf).scatter_reduce(0, numbers, scores.cpu(), "amax")


def same_size(maps: Sequence[Tensor]) -> Tensor:
    """Return maps (n, h, w) of any sizes as one tensor, resized to the largest height and width."""
    size = (max(part.shape[1] for part in maps), max(part.shape[2] for part in maps))
    return torch.cat(
        [part if part.shape[1:] == size else interpolate(part[:, None], size, mode="bilinear")[:, 0] for part in maps]
    )


def _twin_canvas(photo: tuple[int, int]) -> Canvas:
    factor = min(1.0, TWIN_SIDE / max(photo))
    return Canvas(photo, max(1, _rounded(photo[0] * factor)), max(1, _rounded(photo[1] * factor)), channels=3)


def _split(boxes: Sequence[Crop], size: int) -> Iterator[Sequence[Crop]]:
    return (boxes[start : start + size] for start in range(0, len(boxes), size))


def _tent(length: int) -> Tensor:
    steps = torch.arange(length) + 0.5
    return torch.minimum(steps, length - steps)


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)
