"""Unlabeled photos: which of them can be used, and what the screening makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normalgen.errors import DataError
from normalgen.features.contract import Features
from normalgen.features.patches import joined_patches
from normalgen.images.copies import COMPARED, Copies, reduced
from normalgen.images.images import Images
from normalgen.io.progress import Watch, silent
from normalgen.quality.coverage_order import by_coverage
from normalgen.quality.screen import Screening, screened
from normalgen.quality.stream import compared
from normalgen.references import References

__all__ = ["Unlabeled", "by_what_they_add", "screen_photos", "usable"]

BATCH = 8


@dataclass(frozen=True)
class Unlabeled:
    """Photos that nobody has labelled.

    Attributes:
        images: those that can be used: readable, none a reference, each exposure once; cropped like the references.
        patches: their vectors, float16 (N, P, C).
        references: the references' vectors, float32 (k, P, C).
        passed: why each other photo is passed over, by name.
    """

    images: Images
    patches: Tensor
    references: Tensor
    passed: dict[str, str]

    def of(self, indices: Sequence[int]) -> Tensor:
        """Return the vectors of some photos, float32 (n, P, C)."""
        return self.patches[list(indices)].float()


def usable(photos: Images, references: References, network: Features, watch: Watch = silent) -> Unlabeled:
    """Read all photos, and pass over those that cannot be read, references, and copies of earlier photos.

    `watch` receives the progress of "read photos".

    Raises:
        DataError: no photo is left.
    """
    known = Copies([reduced(photo.pixels) for part in references.images.photos(COMPARED) for photo in part])
    taken = Copies()
    passed: dict[str, str] = {}
    chosen: list[int] = []
    waiting: list[Tensor] = []
    patches: list[Tensor] = []

    def compute() -> None:
        if waiting:
            patches.append(joined_patches(network, torch.stack(waiting).float() / 255).flatten(1, 2).half())
            waiting.clear()

    for index, name in enumerate(photos.names):
        watch("read photos", index, len(photos))
        try:
            pixels = photos.photo(index, COMPARED).pixels
        except DataError as error:
            passed[name] = str(error)
            continue
        grey = reduced(pixels)
        if known.find(grey) is not None:
            passed[name] = "it is a reference, or a copy of one"
        elif (twin := taken.find(grey)) is not None:
            passed[name] = f"it is a copy of {photos.names[chosen[twin]]}"
        else:
            chosen.append(index)
            taken.add(grey)
            waiting.append(pixels)
            if len(waiting) == BATCH:
                compute()
    watch("read photos", len(photos), len(photos))
    compute()
    if not chosen:
        reason = next(iter(passed.values()))
        raise DataError(f"none of {len(photos)} unlabeled photos can be used ({reason}); name a folder of other photos")
    parts = references.images.batches(COMPARED, BATCH)
    own = torch.cat([joined_patches(network, part).flatten(1, 2) for part in parts])
    return Unlabeled(photos.take(chosen), torch.cat(patches), own, passed)


def screen_photos(
    unlabeled: Unlabeled, *, contamination: float | None = None, seed: int = 0, watch: Watch = silent
) -> Screening:
    """Screen unlabeled photos, as `normalgen.quality.screen.screened`.

    Args:
        unlabeled: the photos.
        contamination: as for `screened`.
        seed: decides which photos all others are compared with.
        watch: receives the progress of "screen".
    """
    count = len(unlabeled.images)
    watch("screen", 0, count)
    streams = compared(unlabeled.references, count, unlabeled.of, seed, lambda done: watch("screen", done, count))
    return screened(*streams, unlabeled.of, contamination)


def by_what_they_add(unlabeled: Unlabeled, chosen: Sequence[int]) -> list[int]:
    """Return indices of photos, ordered by what each adds to the references and to those before it."""
    order = by_coverage(unlabeled.references, unlabeled.patches[list(chosen)]) if chosen else []
    return [chosen[index] for index in order]
