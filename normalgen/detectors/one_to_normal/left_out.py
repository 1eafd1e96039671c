"""Left-out references: images to judge as if their reference were new, against the bank without it.

Their number is bounded, so that the cost of a fit does not grow with the square of the number of references. With few
references, several augmented views of each are judged. With many, each is judged once, unchanged; beyond `MOST`, only a
sample is: different photos tell more about new photos than more views of the same ones.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

import torch
from torch import Tensor

from normalgen.detectors.one_to_normal.triplet import Levels, PatchBank
from normalgen.images.augment import augment
from normalgen.images.defects import KINDS, paste
from normalgen.images.turning import Turnable
from normalgen.io.rng import generator

__all__ = ["BankWithout", "LeftOut", "Trial", "left_out", "sample", "trials", "view"]

VIEWS, MOST, TILES = 6, 100, 150
"""Most views per reference, most views in total, and most tiles in total; 100 views support a rate of 0.01."""


@dataclass(frozen=True)
class BankWithout:
    """A bank that leaves out, for each query, a reference and everything made from it.

    Attributes:
        bank: patches of references and pool.
        sources: for each image in the bank, the index of the reference it is or was made from; -1 if none.
        references: for each query, the index of the reference to leave out.
    """

    bank: PatchBank
    sources: Sequence[int]
    references: Sequence[int]

    def maps(self, queries: Levels) -> Levels:
        """Return S_N as `PatchBank.maps` does; uses the whole bank if leaving out would empty it."""
        runs = [(reference, len(list(run))) for reference, run in groupby(self.references)]
        parts = zip(*(torch.split(level, [count for _, count in runs]) for level in queries), strict=True)
        maps = [self._bank(reference).maps([*part]) for (reference, _), part in zip(runs, parts, strict=True)]
        return [torch.cat(level) for level in zip(*maps, strict=True)]

    def _bank(self, reference: int) -> PatchBank:
        images = [index for index, source in enumerate(self.sources) if source == reference]
        return self.bank.without(images) if 0 < len(images) < len(self.sources) else self.bank


@dataclass(frozen=True)
class LeftOut:
    """One left-out reference.

    Attributes:
        reference: its index.
        views: number of its views to judge: the photo itself, then augmentations.
        kinds: kinds of defects to draw on its views, one per view.
    """

    reference: int
    views: int
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """A view of a left-out reference, or of one of its tiles.

    Attributes:
        image: (3, S, S) in [0, 1].
        key: seeds the draws of its twin.
        reference: index of the reference.
        view: number of the view, counted over all references; None for an image with a drawn defect.
    """

    image: Tensor
    key: str
    reference: int
    view: int | None


def sample(digests: Sequence[str], most: int, seed: int) -> list[int]:
    """Return the indices of `most` images, chosen by digest and seed; all if there are no more.

    Names and order do not matter, so the same images under other names give the same sample.
    """
    keys = [hashlib.sha256(f"{seed}-{digest}".encode()).digest() for digest in digests]
    return sorted(range(len(keys)), key=keys.__getitem__)[:most]


def left_out(digests: Sequence[str], tiles: int, seed: int, *, drawn: bool = True) -> list[LeftOut]:
    """Return the references to leave out, ordered by index, and how often to judge each.

    There are min(6 k, 100) views and min(5 k, 100) drawn defects, or fewer if tiles are judged. They are spread evenly
    over the references; the kinds of defects take turns.

    Args:
        digests: one per reference.
        tiles: about how many tiles each view has.
        seed: decides the sample.
        drawn: whether there are drawn defects at all.
    """
    most, kinds = max(1, min(MOST, TILES // tiles)), [*KINDS]
    chosen = sample(digests, most, seed)
    views = _shares(min(VIEWS * len(chosen), most), len(chosen))
    counts = _shares(min(len(kinds) * len(chosen), MOST) if drawn else 0, len(chosen))
    starts = [0, *accumulate(counts)]
    turns = [tuple(kinds[(start + i) % len(kinds)] for i in range(n)) for start, n in zip(starts, counts, strict=False)]
    return sorted(map(LeftOut, chosen, views, turns), key=lambda item: item.reference)


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (i < total % parts) for i in range(parts)]


def trials(cut: Callable[[int], Sequence[Turnable]], chosen: Sequence[LeftOut], seed: int) -> Iterator[Trial]:
    """Yield the views of each left-out reference, tile by tile, then views with drawn defects.

    Args:
        cut: takes the index of a reference and returns its tiles; only the photo itself if it is not cut.
        chosen: which references to judge, and how often.
        seed: decides every draw.
    """
    starts = accumulate((item.views for item in chosen), initial=0)
    for start, item in zip(starts, chosen, strict=False):
        tiles, index = cut(item.reference), item.reference
        for i in range(item.views):
            for number, tile in enumerate(tiles):
                ends = [number] if number else []
                key = "-".join(map(str, ["view", index, i, *ends]))
                yield Trial(view(tile, i, seed, index, *ends), key, index, start + i)
        for i, kind in enumerate(item.kinds):
            draw = generator("spoilt", seed, index, kind)
            number = int(torch.randint(len(tiles), (), generator=generator("tile", seed, index, kind)))
            image = view(tiles[number], i % item.views, seed, index, *([number] if number else []))
            yield Trial(paste(image, kind, draw)[0], f"spoilt-{index}-{i}", index, None)


def view(photo: Turnable, number: int, *keys: int | str) -> Tensor:
    """Return view `number` of a photo, (3, S, S) in [0, 1]: 0 is the photo, others are safe augmentations."""
    if number:
        return augment(photo, "safe", generator("views", *keys, number - 1))
    return photo.photo.float() / 255
