"""Learns the maps that each branch gives for normal images: left-out references, their augmentations, pool images.

A generator redraws every pixel, so even a good part differs from its twin; and no two good parts are the same. Both
leave a floor, learned here from normal images alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import torch
from torch import Tensor

from normalgen.detectors.metrics import image_auroc
from normalgen.detectors.one_to_normal.branches import Branches, joined
from normalgen.detectors.one_to_normal.left_out import BankWithout, Trial, left_out, trials
from normalgen.detectors.one_to_normal.triplet import Levels, Moments, PatchBank, Reduce, image_scores, moments
from normalgen.images.images import Images
from normalgen.images.turning import Turnable, turnables
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["Known", "Usual", "is_aligned", "known_names", "learn_usual"]

DRAWN, ALIGNED = 16, 1.5


@dataclass(frozen=True)
class Known:
    """The normal images of a detector.

    Attributes:
        photos: the references, or tiles of them, uint8 (M, 3, S, S).
        drawn: images of the pool, uint8 (G, 3, S, S).
        sources: for each image in the bank, photos first, the index of the reference it is or was made from; -1 if
            none.
        digests: the SHA-256 of each reference.
        tiles: how many tiles each reference has; 1 if it is not cut.
        cut: takes the index of a reference and returns its tiles, ready to be turned.
    """

    photos: Tensor
    drawn: Tensor
    sources: tuple[int, ...]
    digests: tuple[str, ...]
    tiles: tuple[int, ...]
    cut: Callable[[int], list[Turnable]]

    @classmethod
    def of(cls, references: References, pool: Pool | None, size: int, most: int, watch: Watch = silent) -> Self:
        """Read the references and the first images of the pool.

        Args:
            references: all are read; photos that are cut, piece by piece.
            pool: generated images.
            size: width and height of the images, in pixels.
            most: most images in total, references first; 0: no limit.
            watch: receives the progress of "read references".
        """
        pieces, owners = references.pieces, {item: index for index, item in enumerate(references.images.items)}
        photos = _pixels(pieces, size, watch)
        sources = [owners[item.whole or item] for item in pieces.items]
        count = 0 if pool is None else len(pool)
        count = min(count, max(0, most - len(photos))) if most else count
        drawn = torch.empty(0, 3, size, size, dtype=torch.uint8)
        if pool is not None and count:
            drawn, hashes = pool.images.take(range(count)).pixels(size), references.images.hashes()
            made_from = pool.sources(references)[:count]
            sources += [hashes.index(digest) if digest in hashes else -1 for digest in made_from]
        counts = [len(references.tiles(index)) if references.tile else 1 for index in range(len(owners))]

        def cut(index: int) -> list[Turnable]:
            return turnables(references.tiles(index), size)

        return cls(photos, drawn, tuple(sources), tuple(references.images.hashes()), tuple(counts), cut)


def known_names(references: References, pool: Pool | None) -> list[str]:
    """Return the names of the photos and drawn images of `Known`, in order."""
    return [*references.pieces.names, *([] if pool is None else pool.images.names)]


def _pixels(images: Images, size: int, watch: Watch) -> Tensor:
    photos: list[Tensor] = []
    watch("read references", 0, len(images))
    for batch in images.photos(size):
        photos += [photo.pixels for photo in batch]
        watch("read references", len(photos), len(images))
    return torch.stack(photos)


@dataclass(frozen=True)
class Usual:
    """The maps that each branch gives for normal images.

    Attributes:
        moments: mean and deviation of each branch's maps.
        left_out: raw maps of left-out references and their augmentations.
        spoilt: raw maps of the same images with drawn defects; empty for one branch alone, which needs no weight.
        views: for each map in `left_out`, the number of its view; tiles have the number of their whole view.
    """

    moments: dict[str, Moments]
    left_out: dict[str, Levels]
    spoilt: dict[str, Levels]
    views: tuple[int, ...] = ()

    def weights(self, trust: Mapping[str, float], reduce: Reduce) -> dict[str, float]:
        """Return the weight of each branch, in proportion to its trust times its worth; mean 1.

        The worth of a branch is 2 AUROC - 1 in telling `spoilt` from `left_out`, at least 0. If every branch is worth
        nothing, trust alone decides.

        Differs: the paper weighs the branches 1, 1 and 0.5 whatever they can see. Drawn defects cost no label.

        Args:
            trust: the share of a branch's worth that counts, in (0, 1]; a branch that is not named has 1. The trust in
                twins (branch "p") depends on the model that makes them: `normalgen.diffusion.parts.Parts.twin_trust`.
            reduce: how the detector takes the score of an image from its map.
        """
        if len(self.moments) == 1:
            return dict.fromkeys(self.moments, 1.0)
        trusted = {name: trust.get(name, 1.0) for name in self.moments}
        worth = {name: value * max(0.0, 2 * self._auroc(name, reduce) - 1) for name, value in trusted.items()}
        shares = worth if any(worth.values()) else trusted
        total = sum(shares.values())
        return {name: value * len(shares) / total for name, value in shares.items()}

    def _auroc(self, name: str, reduce: Reduce) -> float:
        both = [self.moments[name].standardize(maps[name]) for maps in (self.left_out, self.spoilt)]
        scores = [image_scores({name: maps}, "calibrated", reduce)[name] for maps in both]
        labels = torch.cat([torch.full((len(part),), i) for i, part in enumerate(scores)])
        return image_auroc(labels, torch.cat(scores))


def learn_usual(branches: Branches, bank: PatchBank, known: Known, *, seed: int, watch: Watch = silent) -> Usual:
    """Learn the maps that the branches give for normal images.

    S_N is learned from views of left-out references against the bank without them; with one reference, against the
    whole bank, which is too near. S_P is learned from the twins of these views and of pool images, separately for each
    position if the references are aligned. The model has seen these references, so their twins are somewhat nearer than
    the twin of a new photo.

    `watch` receives the progress of "learn normal", per image.
    """
    alone = len(branches.names) == 1
    chosen = left_out(known.digests, round(sum(known.tiles) / len(known.tiles)), seed, drawn=not alone)
    drawn = known.drawn[:DRAWN].float() / 255
    total = sum(item.views * known.tiles[item.reference] + len(item.kinds) for item in chosen) + len(drawn)
    judged: list[tuple[int | None, dict[str, Levels]]] = []
    watch("learn normal", 0, total)
    for batch in _batched(trials(known.cut, chosen, seed), branches.batch):
        against = BankWithout(bank, known.sources, [trial.reference for trial in batch])
        images = torch.stack([trial.image for trial in batch])
        maps = branches.compare(images, [trial.key for trial in batch], against)[1]
        judged += [(trial.view, _row(maps, row)) for row, trial in enumerate(batch)]
        watch("learn normal", len(judged), total)
    good, spoilt = ([maps for view, maps in judged if (view is None) == defective] for defective in (False, True))
    normal = _together(good)
    learned = dict(normal)
    if "p" in learned and len(drawn):
        more = branches.compare(drawn, [f"drawn-{i}" for i in range(len(drawn))], None)[1]["p"]
        learned["p"] = joined([learned["p"], more])
    aligned = max(known.tiles) == 1 and is_aligned([level[: len(known.photos)] for level in bank.levels])
    shares = dict.fromkeys(learned, branches.network.shares) | {"n": bank.shares(branches.network.shares)}
    usual = {name: moments(maps, shares[name], by_position=name == "p" and aligned) for name, maps in learned.items()}
    watch("learn normal", total, total)
    return Usual(usual, normal, _together(spoilt), tuple(view for view, _ in judged if view is not None))


def _batched(items: Iterator[Trial], size: int) -> Iterator[list[Trial]]:
    while batch := list(islice(items, size)):
        yield batch


def _row(maps: dict[str, Levels], row: int) -> dict[str, Levels]:
    return {name: [level[row : row + 1] for level in levels] for name, levels in maps.items()}


def _together(rows: Sequence[dict[str, Levels]]) -> dict[str, Levels]:
    return {name: joined([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def is_aligned(tokens: Levels) -> bool:
    """Return whether photos show the same thing at each position: patches there are hardly farther than the nearest.

    A single photo counts as aligned, with its own augmentations.

    Args:
        tokens: patch vectors of the photos (k, h, w, C), per level.
    """
    if len(tokens[0]) < 2:
        return True
    first, others = [level[:1] for level in tokens], [level[1:] for level in tokens]
    pairs = list(zip(first, others, strict=True))
    same_position = [(1 - (query * other).sum(-1)).mean() for query, other in pairs]
    # One other photo at a time: among many the nearest patch is nearer, whether or not they are aligned.
    near = [
        torch.stack([PatchBank([photo]).maps([query])[0] for photo in torch.split(other, 1)]).mean()
        for query, other in pairs
    ]
    return float(torch.stack(same_position).mean()) <= ALIGNED * float(torch.stack(near).mean())
