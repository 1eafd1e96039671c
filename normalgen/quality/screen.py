"""Screens unlabeled photos: decides, patch by patch, which are normal, from a few references and from each other.

A patch of a good part resembles patches in the references or in many other photos; a patch of a defect resembles few
(MuSc, Li et al., ICLR 2024). Photos with few such patches become trusted, and all photos are judged again by their
nearest patches in references and trusted photos, in rounds. Where something is missing, patches are unusual at their
position alone, so photos are also compared position by position. What many photos share but no reference shows would
pass as normal, so it is asked about.

    kept        nothing in it is unusual
    suspicious  unusual in a small part
    odd         unusual as a whole: another part, or another view
    asked       it shares something with other photos that no reference shows
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.functional import max_pool2d

from normalgen.quality.stream import Stream

__all__ = ["VERDICTS", "Screening", "mask_of", "mask_text", "score_against", "screened"]

VERDICTS = ("kept", "suspicious", "odd", "asked")
FEWEST = 8
"""With fewer photos the cut-off says little."""
MUTUAL, TRUSTED, ROUNDS, NEAREST = 0.3, 0.7, 3, 3
"""Share of the panel that the first round judges by, share that is trusted after it, rounds, and nearest images."""
TOP, SPREAD, IN_PLACE, NORMAL = 0.01, 2.0, 4.0, 0.995
"""Share of patches in a score, deviations to the limit, the same for patches compared position by position, and share
of normal photos' patches below the patch limit."""
WHOLE = 0.3
"""A photo with a larger share of unusual patches is unusual as a whole."""
LOWEST = 1e-6
"""Least limit: photos that are alike to the last digit have no distances to divide by."""
STRANGE = 1.5
"""Photos farther from the references, per distance to each other, show another part."""
LEAST, RECURRING, ALIKE, LIKE_GROUP = 3, 0.1, 0.8, 1.1
"""A question needs as many photos, and such a share of all; nearness, per distance to trusted photos, below which two
suspects share something, and below which a photo shows what a group shares."""
FAR, REPEATED, APART, LOCAL = 0.9, 5.0, 3, 1.7
"""Patches above this quantile of distances to references, and so much nearer to other photos, repeat something that no
reference shows; if elsewhere, more than three patches away, the same number is not nearly as high, it is local."""


@dataclass(frozen=True)
class Screening:
    """The verdicts on N photos.

    Attributes:
        scores: mean distance of the 1 % most unusual patches, per limit: above 1 is unusual (N,). The larger of two:
            nearest patches anywhere, and at the same position.
        maps: distance of each patch, per patch limit (N, P); the larger of the same two.
        masks: unusual patches and their neighbours, bool (N, P).
        verdicts: one of `VERDICTS` per photo.
        share: share of photos that are not kept.
        groups: for each question, the indices of the photos that share something no reference shows.
        limits: the cut-offs, as plain data for a record.
        apart: how far the photos are from the references, per distance of the photos to each other; 0 for one photo.
    """

    scores: Tensor
    maps: Tensor
    masks: Tensor
    verdicts: tuple[str, ...]
    share: float
    groups: tuple[tuple[int, ...], ...]
    limits: dict[str, float]
    apart: float

    @property
    def strange(self) -> bool:
        """Whether the photos show something else than the references."""
        return self.apart > STRANGE

    @property
    def few(self) -> bool:
        """Whether there are too few photos to say much."""
        return len(self.scores) < FEWEST

    def of(self, *verdicts: str) -> list[int]:
        """Return the indices of the photos with these verdicts."""
        return [index for index, verdict in enumerate(self.verdicts) if verdict in verdicts]


def screened(
    anywhere: Stream,
    in_place: Stream,
    patches: Callable[[Sequence[int]], Tensor],
    contamination: float | None = None,
) -> Screening:
    """Judge all photos.

    The lower half of the scores counts as clean: less than half of the photos may be anomalous. Its spread gives the
    limit: the median plus two deviations; four, where only patches at the same position are compared.

    Args:
        anywhere: the photos' distances to references and to each other.
        in_place: the same, of patches at the same position.
        patches: takes indices of photos and returns their unit vectors (n, P, C).
        contamination: share of photos that are not kept, in [0, 1); None takes it from the scores.
    """
    maps = [_trusting(anywhere), _trusting(in_place)]
    highest = [_highest(part) for part in maps]
    limits = [max(_limit(*pair), LOWEST) for pair in zip(highest, (SPREAD, IN_PLACE), strict=True)]
    scores = torch.maximum(*(part / limit for part, limit in zip(highest, limits, strict=True)))
    factor = 1.0 if contamination is None else max(float(scores.quantile(1 - contamination)), LOWEST)
    clean = scores <= factor
    patch_limits = [max(float(part[clean].flatten().quantile(NORMAL)), LOWEST) for part in maps]
    per_limit = [part / limit for part, limit in zip(maps, patch_limits, strict=True)]
    both = torch.maximum(*per_limit)
    masks = _with_neighbours(both > 1)
    suspects = (~clean).nonzero()[:, 0].tolist()
    groups, shared = _recurring(maps[0], per_limit[0] > 1, suspects, patches)
    if repeated := _repeated(anywhere) - shared:
        groups, shared = (*groups, tuple(sorted(repeated))), shared | repeated
    verdicts = _verdicts(clean, masks, shared)
    cuts = [*(limit * factor for limit in limits), *patch_limits]
    named = dict(zip(("photo", "photo in place", "patch", "patch in place"), cuts, strict=True))
    share = 1 - verdicts.count("kept") / len(verdicts)
    return Screening(scores / factor, both, masks, verdicts, share, groups, named, _apart(anywhere))


def mask_text(mask: Tensor) -> str:
    """Return a mask of patches, bool (P,), as a text of 0 and 1, for a record."""
    return "".join(map(str, mask.int().tolist()))


def mask_of(text: str) -> Tensor:
    """Invert `mask_text`."""
    return torch.tensor([digit == "1" for digit in text])


def score_against(streams: tuple[Stream, Stream], limits: Mapping[str, float]) -> float:
    """Return the score of another photo under the limits of a screening: at most 1 is kept.

    Args:
        streams: the photo alone, compared with references and with photos that the screening kept: patches anywhere,
            and at the same position.
        limits: from `Screening`.
    """
    scores = []
    for stream, limit in zip(streams, (limits["photo"], limits["photo in place"]), strict=True):
        nearest = stream.nearest(torch.ones(len(stream.members), dtype=torch.bool), NEAREST)
        scores.append(float(_highest(torch.minimum(nearest, stream.references.float().amin(1)))[0]) / limit)
    return max(scores)


def _verdicts(clean: Tensor, masks: Tensor, shared: set[int]) -> tuple[str, ...]:
    whole = masks.float().mean(1) > WHOLE
    return tuple(
        "asked" if index in shared else "kept" if clean[index] else "odd" if whole[index] else "suspicious"
        for index in range(len(clean))
    )


def _repeated(stream: Stream) -> set[int]:
    """Return the photos with patches that other photos repeat closely, but no reference shows; empty if most have them.

    A defect that is the same in many photos has near neighbours among them, so that distances alone do not show it. A
    photo that differs from the references everywhere, as in another pose or light, does not count.
    """
    known = stream.references.float().amin(1)
    others = stream.nearest(torch.ones(len(stream.members), dtype=torch.bool), NEAREST).clamp(min=LOWEST)
    ratios = torch.where(known > known.flatten().quantile(FAR), known / others, 0.0)
    highest, elsewhere = _highest(ratios), _highest(ratios.masked_fill(_around(ratios.argmax(1), ratios.shape[1]), 0.0))
    photos = ((highest > REPEATED) & (highest > LOCAL * elsewhere)).nonzero()[:, 0].tolist()
    return {*photos} if _least(len(known)) <= len(photos) <= len(known) / 2 else set()


def _around(patches: Tensor, count: int) -> Tensor:
    """Return which of `count` patches of a square grid are at most `APART` rows and columns from `patches` (N,)."""
    side, everyone = math.isqrt(count), torch.arange(count)
    rows = (everyone // side - patches[:, None] // side).abs()
    columns = (everyone % side - patches[:, None] % side).abs()
    return torch.maximum(rows, columns) <= APART


def _least(photos: int) -> int:
    """Return how many of all photos must share something before it is asked about."""
    return max(LEAST, round(RECURRING * photos))


def _recurring(
    maps: Tensor, unusual: Tensor, suspects: list[int], patches: Callable[[Sequence[int]], Tensor]
) -> tuple[tuple[tuple[int, ...], ...], set[int]]:
    """Return the groups of suspects that share what is unusual in them, and all photos that show something like it."""
    nearness = _nearness(maps, unusual, suspects, patches)
    joined = connected_components((nearness[suspects] < ALIKE).numpy(), directed=False)[1]
    least = _least(len(maps))
    groups = [[index for index, label in zip(suspects, joined, strict=True) if label == group] for group in {*joined}]
    asked = sorted((tuple(group) for group in groups if len(group) >= least), key=lambda group: (-len(group), group))
    if not asked:
        return (), set()
    columns = [suspects.index(index) for group in asked for index in group]
    alike = nearness[:, columns].topk(2, 1, largest=False).values.mean(1) < LIKE_GROUP
    return tuple(asked), {*alike.nonzero()[:, 0].tolist()}.union(*asked)


def _nearness(maps: Tensor, unusual: Tensor, suspects: list[int], patches: Callable[[Sequence[int]], Tensor]) -> Tensor:
    """Return how near each photo's most unusual patches are to what is unusual in each suspect (N, S).

    The distance is per distance to trusted photos, and infinite for a suspect itself.
    """
    vectors = [patches([index])[0][unusual[index]] for index in suspects]
    owners = torch.tensor([column for column, part in enumerate(vectors) for _ in part], dtype=torch.long)
    nearness = torch.full((len(maps), len(suspects)), torch.inf)
    if not len(owners):
        return nearness
    highest, everything = _top_indices(maps), torch.cat(vectors).T
    usual = maps.gather(1, highest).mean(1).clamp(min=1e-6)
    for index in range(len(maps)):
        likeness = patches([index])[0][highest[index]] @ everything
        best = torch.full((len(likeness), len(suspects)), -torch.inf)
        best.scatter_reduce_(1, owners.expand(len(likeness), -1), likeness, "amax")
        nearness[index] = (1 - best).mean(0) / usual[index]
    nearness[suspects, range(len(suspects))] = torch.inf
    return nearness


def _trusting(stream: Stream) -> Tensor:
    """Return the mean distance of each patch to the nearest references and trusted photos (N, P).

    It is at most the distance to the nearest reference: references are sure, so one of them is enough.
    """
    members = torch.tensor(stream.members)
    everyone = torch.ones(len(members), dtype=torch.bool)
    maps = stream.nearest(everyone, round(MUTUAL * len(members)))
    for _ in range(ROUNDS):
        scores = _highest(maps)[members]
        maps = stream.nearest(scores <= scores.quantile(TRUSTED), NEAREST)
    return torch.minimum(maps, stream.references.float().amin(1))


def _apart(stream: Stream) -> float:
    """Return how far photos are from the references, per distance to as many other photos that nobody chose."""
    photos, members = len(stream.panel), len(stream.members)
    count = min(stream.references.shape[1], members - 1)
    if count < 1:
        return 0.0
    drawn = (torch.arange(photos)[:, None] + 1 + torch.arange(count)) % members
    others = stream.panel.float()[torch.arange(photos)[:, None], drawn].amin(1).mean(1)
    known = stream.references[:, :count].float().amin(1).mean(1)
    return float(known.median() / others[others.isfinite()].median().clamp(min=1e-6))


def _highest(maps: Tensor) -> Tensor:
    return maps.gather(1, _top_indices(maps)).mean(1)


def _top_indices(maps: Tensor) -> Tensor:
    return maps.topk(max(1, round(TOP * maps.shape[1])), 1).indices


def _limit(scores: Tensor, spread: float) -> float:
    median = scores.median()
    return float(median + spread * 1.4826 * (median - scores[scores <= median]).median())


def _with_neighbours(masks: Tensor) -> Tensor:
    side = math.isqrt(masks.shape[1])
    grown = max_pool2d(masks.view(-1, 1, side, side).float(), 3, 1, 1)
    return grown.view(masks.shape) > 0
