"""What is usual: how left-out references, their augmentations and pool images look to each branch.

A generator redraws every pixel, so even a good part is not its own twin; and no two good parts are the same. Both
have a floor, which is learnt here from normal images alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from normalgen.detectors.metrics import image_auroc
from normalgen.detectors.one_to_normal.branches import Branches, joined
from normalgen.detectors.one_to_normal.triplet import Levels, Moments, PatchBank, Reduce, image_scores, moments
from normalgen.images.augment import augment_each
from normalgen.images.defects import KINDS, paste
from normalgen.images.turning import Turnable, turnable
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["DRAWN", "VIEWS", "Known", "Usual", "learn_usual", "views"]

VIEWS, DRAWN, ALIGNED = 6, 16, 1.5


@dataclass(frozen=True)
class Known:
    """The normal images of a detector.

    Attributes:
        photos: the references, uint8 (k, 3, S, S).
        aspects: of each reference, its width over its height before it was squashed.
        drawn: the pool's images in the bank, uint8 (G, 3, S, S).
        sources: of each image in the bank, photos first, the place of the reference it is or was made from, -1 if none.
    """

    photos: Tensor
    aspects: tuple[float, ...]
    drawn: Tensor
    sources: tuple[int, ...]

    @classmethod
    def of(cls, references: References, pool: Pool | None, size: int, most: int) -> Self:
        """The references, and images of the pool by index: `most` in all, references first; 0 takes every image."""
        read = [photo for batch in references.images.photos(size) for photo in batch]
        photos, aspects = torch.stack([one.pixels for one in read]), tuple(one.width / one.height for one in read)
        names = references.images.names
        count = 0 if pool is None else len(pool)
        count = min(count, max(0, most - len(photos))) if most else count
        if pool is None or not count:
            return cls(photos, aspects, torch.empty(0, 3, size, size, dtype=torch.uint8), tuple(range(len(photos))))
        made_from = [row["reference"] for row in pool.rows[:count]]
        sources = [*range(len(photos)), *(names.index(name) if name in names else -1 for name in made_from)]
        return cls(photos, aspects, pool.images.take(range(count)).pixels(size), tuple(sources))


@dataclass(frozen=True)
class Usual:
    """What normal images look like to each branch.

    Attributes:
        moments: of the branches' maps.
        left_out: raw maps of left-out references and their augmentations.
        spoilt: raw maps of the same with drawn defects.
    """

    moments: dict[str, Moments]
    left_out: dict[str, Levels]
    spoilt: dict[str, Levels]

    def weights(self, trust: Mapping[str, float], reduce: Reduce) -> dict[str, float]:
        """The weight of each branch, in proportion to its trust times its worth; mean 1.

        The worth of a branch is 2 AUROC - 1 in telling `spoilt` from `left_out`, at least 0. If every branch is worth
        nothing, trust alone decides.

        Differs: the paper weighs the branches 1, 1 and 0.5 whatever they can see. Drawn defects cost no label.

        Args:
            trust: the share of a branch's worth that counts, in (0, 1]; a branch that is not named has 1. The trust in
                twins (branch "p") depends on the model that makes them: `normalgen.diffusion.parts.Parts.twin_trust`.
            reduce: how the detector takes the score of an image from its map.
        """
        trusted = {name: trust.get(name, 1.0) for name in self.moments}
        worth = {name: value * max(0.0, 2 * self._auroc(name, reduce) - 1) for name, value in trusted.items()}
        shares = worth if any(worth.values()) else trusted
        total = sum(shares.values())
        return {name: value * len(shares) / total for name, value in shares.items()}

    def _auroc(self, name: str, reduce: Reduce) -> float:
        both = [self.moments[name].standardize(maps[name]) for maps in (self.left_out, self.spoilt)]
        scores = [image_scores({name: maps}, "calibrated", reduce)[name] for maps in both]
        labels = torch.cat([torch.full((len(found),), i) for i, found in enumerate(scores)])
        return image_auroc(labels, torch.cat(scores))


def bank_without(banks: PatchBank, sources: Sequence[int], reference: int) -> PatchBank:
    """The bank without a reference and all that was made from it; the whole bank if that is all there is.

    Args:
        banks: of references and pool.
        sources: as in `Known`.
        reference: its place.
    """
    places = [place for place, source in enumerate(sources) if source == reference]
    return banks if len(places) == len(sources) else banks.without(places)


def views(photo: Turnable, count: int, *keys: int | str) -> Tensor:
    """A photo and `count` - 1 safe augmentations of it, (count, 3, S, S) in [0, 1]."""
    draws = [generator("views", *keys, i) for i in range(count - 1)]
    return torch.cat([photo.photo[None].float() / 255, augment_each([photo] * (count - 1), "safe", draws)])


def learn_usual(branches: Branches, banks: PatchBank, known: Known, *, seed: int, watch: Watch = silent) -> Usual:
    """What the branches say of normal images.

    S_N is learnt from each reference and its augmentations against the bank without it; with one reference, against the
    whole bank, which is too near. S_P is learnt from their twins and those of pool images; place by place where the
    references show the same thing in the same place. The model has seen these references, so their twins are somewhat
    nearer than a new photo's is.

    `watch` receives the progress of "learn normal", per reference; the pool's twins are its last step.
    """
    shown, spoilt, steps = [], [], len(known.photos) + 1
    for place, photo in enumerate(map(turnable, known.photos, known.aspects)):
        some, bank = views(photo, VIEWS, seed, place), bank_without(banks, known.sources, place)
        shown.append(branches.compare(some, [f"view-{place}-{i}" for i in range(len(some))], bank)[1])
        bad = _spoilt(some, seed, place)
        spoilt.append(branches.compare(bad, [f"spoilt-{place}-{i}" for i in range(len(bad))], bank)[1])
        watch("learn normal", place + 1, steps)
    left_out = {name: joined([each[name] for each in shown]) for name in shown[0]}
    learnt = dict(left_out)
    if "p" in learnt and len(known.drawn):
        drawn = known.drawn[:DRAWN].float() / 255
        more = branches.compare(drawn, [f"drawn-{i}" for i in range(len(drawn))], None)[1]["p"]
        learnt["p"] = joined([learnt["p"], more])
    by_place = is_aligned(branches, known.photos)
    found = {name: moments(maps, by_place=name == "p" and by_place) for name, maps in learnt.items()}
    watch("learn normal", steps, steps)
    return Usual(found, left_out, {name: joined([each[name] for each in spoilt]) for name in spoilt[0]})


def _spoilt(images: Tensor, seed: int, place: int) -> Tensor:
    """One drawn defect of each kind, each on another of `images`."""
    kinds = list(KINDS)
    draws = [generator("spoilt", seed, place, kind) for kind in kinds]
    pairs = zip(kinds, draws, strict=True)
    return torch.stack([paste(images[i % len(images)], kind, draw)[0] for i, (kind, draw) in enumerate(pairs)])


def is_aligned(branches: Branches, photos: Tensor) -> bool:
    """Whether photos show the same thing in the same place: patches in place are hardly farther than the nearest.

    One photo says nothing of that, and counts as aligned with its own augmentations.
    """
    if len(photos) < 2:
        return True
    tokens = branches.tokens(photos)
    first, others = [level[:1] for level in tokens], [level[1:] for level in tokens]
    pairs = list(zip(first, others, strict=True))
    place = [(1 - (one * other).sum(-1)).mean() for one, other in pairs]
    # One other photo at a time: of many the nearest patch is nearer, which says nothing of alignment.
    near = [
        torch.stack([PatchBank([one]).maps([query])[0] for one in torch.split(other, 1)]).mean()
        for query, other in pairs
    ]
    return float(torch.stack(place).mean()) <= ALIGNED * float(torch.stack(near).mean())
