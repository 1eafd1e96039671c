"""The arms: what a detector's bank holds besides the references. They differ in nothing else.

    none            the references
    rotations       + n references turned by multiples of 360 / n degrees
    augmented       + n references as the customization itself augments them, no diffusion
    generated       + n images of the customized model's pool, no augmented photos among them
    both            + augmented + generated
    real            + n more real normals: the best to hope for
    no-twins        generated, and One-to-Normal without its twins
    wrong           + n generated images of another category: must not help
    poisoned        + n anomalous test images, at most half of them, which are then not measured: must hurt
    unpoisoned      + as many real normals, measured on the same test images as poisoned: its control
    unlabeled       + those of 24 unlabeled photos that the screening keeps; a tenth of the 24 are anomalous
    unlabeled-blind     + all of them
    unlabeled-softpatch + all of them without the 15 % of patches that SoftPatch takes for outliers
    unlabeled-oracle    + exactly the good ones

`:m` after an arm uses m images instead of n: "real:8", "generated:64". `@c` names the share of anomalous photos among
the m unlabeled ones: "unlabeled:100@0.3". "augmented:24@0.1" holds as many images as "unlabeled:24@0.1" ended with.
Anomalous test images among the unlabeled photos, and their copies, are measured with no arm of the plan.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from normalgen.data.category import Category
from normalgen.errors import DataError
from normalgen.evaluation.streams import kept_names
from normalgen.evaluation.studies import ARMS
from normalgen.images.augment import augment_each, rotations
from normalgen.images.images import Images, pixel_digest, to_pil
from normalgen.images.turning import Turnable, turnables
from normalgen.io.rng import generator
from normalgen.pool.dataset import Pool
from normalgen.pool.from_images import NO_SOURCE, source_of, write_pool
from normalgen.references import References
from normalgen.settings.presets import Preset

__all__ = ["ARMS", "Arm", "ArmPools"]

_GENERATED = ("generated", "both", "no-twins", "wrong")
_UNLABELED = "unlabeled"
_STREAM, _SHARE = 24, 0.1


@dataclass(frozen=True)
class Arm:
    """An arm: which images join the references, and how many.

    Attributes:
        text: as typed.
        kind: one of `ARMS`.
        size: number of images that join, or of unlabeled photos; None for the run's n.
        contamination: share of anomalous photos among the unlabeled ones; None for arms that are not beside any.
    """

    text: str
    kind: str
    size: int | None
    contamination: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """Parse an arm: its name, or its name and `:m`, `@c` or both.

        Raises:
            DataError: no arm has this name, or it has no unlabeled photos and `@c`, or c is not below a half.
        """
        match = re.fullmatch(r"([a-z-]+)(?::(\d+))?(?:@(\d*\.?\d+))?", text)
        if match is None or match[1] not in ARMS or match[2] == "0":
            raise DataError(f"no arm is called {text!r}; choose from {', '.join(ARMS)}, or ARM:m for m images")
        kind, size = match[1], int(match[2]) if match[2] else None
        if not (kind.startswith(_UNLABELED) or (kind == "augmented" and match[3])):
            if match[3]:
                raise DataError(f"{text}: only augmented and the unlabeled arms take @c, a share of anomalous photos")
            return cls(text, kind, size)
        size, share = size or _STREAM, float(match[3] or _SHARE)
        if share >= 0.5:
            raise DataError(f"{text}: screening needs a share of anomalous photos below 0.5, got {share:g}")
        return cls(f"{kind}:{size}@{share:g}", kind, size, share)

    @property
    def leaves_out(self) -> bool:
        """Whether it leaves out patches of the images that join."""
        return self.kind == "unlabeled-softpatch"

    @property
    def spoilt(self) -> int:
        """How many of the unlabeled photos are anomalous."""
        return round((self.size or 0) * (self.contamination or 0))

    @property
    def real(self) -> int:
        """How many normal photos besides the references it needs, if it names a number."""
        return (self.size or 0) - self.spoilt if self.contamination is not None or self.kind == "real" else 0

    @property
    def generates(self) -> bool:
        """Whether it needs a pool."""
        return self.kind in _GENERATED


class ArmPools:
    """Makes the arms of one setup, as pools on disk.

    Args:
        folder: where the pools made here are kept.
        category: the category under test.
        references: the shots.
        preset: gives the augmentation and the size.
        pool: generated images; None if no arm needs them.
        other: a pool of another category, for the arm "wrong".
        n: number of images that join.
        seed: draws augmentations, and which real images join.
        lacking: why there is no pool.
        held: number of anomalous test images that no arm measures, because they are among unlabeled photos.
        device: where unlabeled photos are screened.
        cache: where their patch vectors are kept; None keeps none.
    """

    def __init__(
        self,
        folder: Path,
        category: Category,
        references: References,
        preset: Preset,
        pool: Pool | None,
        other: Pool | None,
        n: int,
        seed: int,
        lacking: str = "",
        held: int = 0,
        device: str = "cpu",
        cache: Path | None = None,
    ) -> None:
        self.folder, self.category, self.references, self.preset = folder, category, references, preset
        self.generated, self.other, self.seed, self.lacking = pool, other, seed, lacking
        self.held, self.device, self.cache = held, device, cache
        self._looks: dict[int, str] = {}
        self._screened: dict[str, Pool] = {}
        # The gate may have kept fewer than n; all arms then join that many.
        self.n = n if pool is None else min(n, len(pool))

    def pool(self, arm: Arm) -> Pool | None:
        """The images that join the references in `arm`; None for "none"."""
        count = arm.size or self.n
        match arm.kind:
            case "none":
                return None
            case "unlabeled":
                return self._kept_of(arm) or None
            case "unlabeled-blind" | "unlabeled-softpatch":
                return self._stream(arm)
            case "unlabeled-oracle":
                return replace(stream := self._stream(arm), rows=stream.rows[: arm.real])
            case "augmented" if arm.contamination is not None:
                return self._augmented(count) if (count := len(self._kept_of(arm))) else None
            case "generated" | "no-twins":
                return self._generated(count)
            case "both":
                parts = self._augmented(count), self._generated(count)
                return self._kept(f"both-{count}", [image for part in parts for image in part.images], _sources(parts))
            case "real":
                return self._real(count)
            case "unpoisoned":
                return self._real(len(self.spoilers(count)))
            case "wrong":
                most = count if self.generated is None else min(count, len(self.generated))
                images = list(self._needed(self.other, arm.text).images)[:most]
                return self._kept(f"wrong-{len(images)}", images, [NO_SOURCE] * len(images))
            case "poisoned":
                images = list(self.category.queries.take(self.spoilers(count)))
                return self._kept(f"poisoned-{len(images)}", images, [NO_SOURCE] * len(images), label=1)
            case "rotations":
                return self._views("rotations", rotations(self._photos, count))
            case _:
                return self._augmented(count)

    def spoilers(self, count: int) -> list[int]:
        """Indices of the test images that poison a bank: at most half of the anomalous ones.

        At most as many as the remaining normal images, so that the arm unpoisoned can hold as many.
        """
        anomalous = sum(self.category.labels)
        left = len(self.category.normals) - len(self.references.images)
        chosen = self._anomalous(min(count, anomalous // 2, left))
        if not chosen:
            raise DataError(
                f"{self.category.name} has {anomalous} anomalous test images and {left} normal images besides "
                "its references, the arm poisoned needs at least 2 and 1"
            )
        return chosen

    def tested(self, arm: Arm) -> list[int]:
        """Indices of the test images that `arm` measures.

        All except those that poison it, those among the unlabeled photos of any arm, and the copies of both.
        """
        indices, hidden = range(len(self.category.tests)), self._anomalous(self.held)
        if arm.kind in ("poisoned", "unpoisoned"):
            hidden += self.spoilers(arm.size or self.n)
        if not hidden:
            return [*indices]
        spoilers = {self._look(index) for index in hidden}
        return [index for index in indices if self._look(index) not in spoilers]

    def _anomalous(self, count: int) -> list[int]:
        """Indices of `count` anomalous test images; more of them hold the fewer."""
        anomalous = [index for index, label in enumerate(self.category.labels) if label]
        order = torch.randperm(len(anomalous), generator=generator("poison", self.category.name, self.seed)).tolist()
        return sorted(anomalous[i] for i in order[:count])

    def _stream(self, arm: Arm) -> Pool:
        """The unlabeled photos: first the good ones, then the anomalous ones."""
        good, bad = self._normals(arm.real, arm.text), self.category.queries.take(self._anomalous(arm.spoilt))
        name = f"{_UNLABELED}-{arm.text.partition(':')[2]}"
        return self._kept(name, [*good, *bad], [NO_SOURCE] * (len(good) + len(bad)))

    def _kept_of(self, arm: Arm) -> Pool:
        """Those unlabeled photos that the screening keeps."""
        stream = self._stream(arm)
        name = str(stream.folder)
        if name not in self._screened:
            kept = kept_names(stream.images, self.references, self.seed, self.device, self.cache)
            rows = (row for row, own in zip(stream.rows, stream.images.names, strict=True) if own in kept)
            self._screened[name] = replace(stream, rows=tuple(rows))
        return self._screened[name]

    def _generated(self, count: int) -> Pool:
        pool = self._needed(self.generated, "generated")
        return replace(pool, rows=pool.rows[:count])

    def _augmented(self, count: int) -> Pool:
        draws = [generator("augmented", self.seed, i) for i in range(count)]
        rows = [self._photos[i % len(self._photos)] for i in range(count)]
        return self._views("augmented", augment_each(rows, self.preset.augment, draws))

    def _views(self, name: str, images: Tensor) -> Pool:
        """A pool of images (n, 3, S, S), made from the references in turn."""
        named = zip(self.references.images.names, self.references.images.hashes(), strict=True)
        sources = [source_of(*pair) for pair in named]
        made_from = [sources[i % len(sources)] for i in range(len(images))]
        return self._kept(f"{name}-{len(images)}", [to_pil(i) for i in images], made_from)

    def _real(self, count: int) -> Pool:
        return self._kept(f"real-{count}", list(self._normals(count, f"real:{count}")), [NO_SOURCE] * count)

    def _normals(self, count: int, arm: str) -> Images:
        """Normal photos that are neither references nor copies of test images; more of them hold the fewer."""
        known, names = set(self.references.images.names), self.category.normals.names
        unused = [index for index in self._unseen if names[index] not in known]
        if count > len(unused):
            raise DataError(
                f"{self.category.name} has {len(unused)} normal images besides its references, the arm {arm} needs "
                f"{count}; use a smaller number after the colon"
            )
        keys = (self.category.dataset, self.category.name, len(known), self.seed)
        order = torch.randperm(len(unused), generator=generator("real", *keys)).tolist()
        return self.category.normals.take([unused[i] for i in order[:count]])

    def _needed(self, pool: Pool | None, arm: str) -> Pool:
        if pool is None:
            raise DataError(f"the arm {arm} needs a pool, and there is none{': ' * bool(self.lacking)}{self.lacking}")
        return pool

    def _look(self, index: int) -> str:
        """The digest of a test image's pixels; each image is decoded once for all arms."""
        if index not in self._looks:
            self._looks[index] = pixel_digest(self.category.queries[index])
        return self._looks[index]

    @cached_property
    def _unseen(self) -> list[int]:
        """Indices of the normals that are not copies of a good test image: some data sets hold an image twice."""
        tested = {self._look(index) for index, label in enumerate(self.category.labels) if not label}
        return [index for index, image in enumerate(self.category.normals) if pixel_digest(image) not in tested]

    @cached_property
    def _photos(self) -> list[Turnable]:
        return turnables(self.references.pieces, self.preset.size)

    def _kept(
        self, name: str, images: Sequence[Image.Image], sources: Sequence[Mapping[str, str]], label: int = 0
    ) -> Pool:
        return write_pool(self.folder / name, images, sources, category=self.category.name, mode=name, label=label)


def _sources(pools: Sequence[Pool]) -> list[dict[str, str]]:
    return [source_of(row["reference"], row.get("reference_sha256", "")) for pool in pools for row in pool.rows]
