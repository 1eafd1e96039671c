"""Plans what is measured: every detector with every bank, on the same shots.

A *setup* is (category, k, seed): its shots, and the model and pool made from them once. A *cell* is one detector with
one arm in a setup. All cells of a setup share shots, seed and test images, so their differences are paired.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from normalgen.data.category import Category
from normalgen.detectors.specs import DetectorSpec
from normalgen.errors import DataError
from normalgen.evaluation.arms import Arm
from normalgen.features.open_features import EMBEDDED
from normalgen.io.atomic import slug
from normalgen.io.rng import generator
from normalgen.pool.workers import Shard
from normalgen.settings.presets import Preset, change

__all__ = ["TUNING", "CellPlan", "Plan", "Setup"]

T = TypeVar("T")
TUNING = (("mvtec", "screw"), ("hazelnut_photos", "hazelnut"))
"""(data set, category) on which settings of preset `tiny` were chosen: MVTec-AD's screw, and photos of hazelnuts."""


@dataclass(frozen=True)
class Setup:
    """A category, its number of shots, and the seed that chooses them."""

    category: Category
    k: int
    seed: int

    @property
    def name(self) -> str:
        """The setup's folder, such as "elpv/elpv-2-0"."""
        return f"{self.category.dataset}/{self.category.name}-{self.k}-{self.seed}"


@dataclass(frozen=True)
class CellPlan:
    """One detector with one arm in a setup."""

    setup: Setup
    detector: DetectorSpec
    arm: Arm

    def key(self) -> dict[str, Any]:
        """The values that identify the cell, as plain data."""
        category = self.setup.category
        which = {"dataset": category.dataset, "category": category.name, "k": self.setup.k, "seed": self.setup.seed}
        return which | {"detector": self.detector.text, "arm": self.arm.text}

    def path(self, out: Path) -> Path:
        """The file of the cell's result."""
        return out / "cells" / self.setup.name / f"{slug(self.detector.text)}--{slug(self.arm.text)}.json"


@dataclass(frozen=True)
class Plan:
    """A whole evaluation.

    Attributes:
        categories: categories with test images.
        detectors: the detectors to measure.
        arms: the arms that fill their banks.
        shots: numbers of references.
        seeds: number of seeds, from 0 to seeds - 1.
        n: number of images that join the references in an arm.
        preset: for customization, pools (without augmented photos, `pool.plain` 0) and twins.
        tests: most test images per category, drawn with its share of anomalous images; 0 takes all.
        tuning: whether settings were chosen on these categories, too, besides those of `TUNING`.
        device: torch device.
    """

    categories: tuple[Category, ...]
    detectors: tuple[DetectorSpec, ...]
    arms: tuple[Arm, ...]
    shots: tuple[int, ...] = (2, 4, 8)
    seeds: int = 5
    n: int = 32
    preset: Preset = field(kw_only=True)
    tests: int = 0
    tuning: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        # Augmented photos are a separate arm; a pool that held some would measure them twice.
        object.__setattr__(self, "preset", change(self.preset, pool={"plain": 0.0}))
        for name in ("shots", "detectors", "arms", "categories"):  # what is named twice would be measured twice
            object.__setattr__(self, name, _distinct(getattr(self, name)))
        for spec in self.detectors:
            spec.sampling_preset(self.preset)
        if self.tests == 1:
            raise DataError(
                "--tests must be 0 for all, or at least 2, for a normal and an anomalous image per category"
            )
        if self.tests:
            object.__setattr__(self, "categories", tuple(_fewer(category, self.tests) for category in self.categories))
        for category in self.categories:
            labels = category.labels
            if not 0 < sum(labels) < len(labels):
                raise DataError(
                    f"{category.name} has {len(labels)} test images, {sum(labels)} of them anomalous; measuring "
                    "needs normal and anomalous ones"
                )
            if len(category.normals) < max(self.shots):
                raise DataError(
                    f"{category.name} has {len(category.normals)} normal images to choose from, too few for "
                    f"{max(self.shots)} shots; use smaller --shots"
                )
            self._check_size(category)
        takers = [detector for detector in self.detectors if detector.leaves_out]
        if not takers and any(arm.leaves_out for arm in self.arms):
            raise DataError("the arm unlabeled-softpatch leaves out patches, which needs the detector memory")
        if self.wants_others and len(self.categories) < 2:
            raise DataError("the arm wrong uses the pool of another category; evaluate at least two categories")

    def _check_size(self, category: Category) -> None:
        """Raise DataError if the category has too few images for an arm."""
        spare, anomalous = len(category.normals) - max(self.shots), sum(category.labels)
        for arm in self.arms:
            needed = arm.real or (self.n if arm.kind == "real" else 0)
            if spare < needed:
                name = arm.text if arm.size else f"{arm.text}:{needed}"
                raise DataError(
                    f"{category.name} has {spare} normal images besides its references, the arm {name} needs "
                    f"{needed}; use a smaller number after the colon"
                )
            if arm.spoilt > anomalous // 2:
                raise DataError(
                    f"{category.name} has {anomalous} anomalous test images, half of which must be left to measure; "
                    f"the arm {arm.text} takes {arm.spoilt}"
                )

    def setups(self, shard: Shard | None = None) -> list[Setup]:
        """All setups, seed by seed; with a shard, only its share."""
        setups = [Setup(c, k, seed) for seed in range(self.seeds) for c in self.categories for k in self.shots]
        return setups if shard is None else setups[shard.number - 1 :: shard.count]

    def cells(self, setup: Setup) -> Iterator[CellPlan]:
        """The cells of a setup; no-twins only with detectors that make twins, softpatch with those that take it."""
        for detector in self.detectors:
            for arm in self.arms:
                if (arm.kind != "no-twins" or detector.makes_twins) and (not arm.leaves_out or detector.leaves_out):
                    yield CellPlan(setup, detector, arm)

    def other(self, setup: Setup) -> Setup:
        """The setup of the next category, with the same k and seed."""
        names = [(category.dataset, category.name) for category in self.categories]
        index = names.index((setup.category.dataset, setup.category.name)) + 1
        return Setup(self.categories[index % len(self.categories)], setup.k, setup.seed)

    @property
    def drawn(self) -> int:
        """How many images a pool must hold."""
        return max([arm.size or self.n for arm in self.arms if arm.generates], default=0)

    @property
    def streams(self) -> bool:
        """Whether an arm has unlabeled photos."""
        return any(arm.contamination is not None for arm in self.arms)

    @property
    def held(self) -> int:
        """How many anomalous test images no arm measures: the most that are among an arm's unlabeled photos."""
        return max([arm.spoilt for arm in self.arms], default=0)

    @property
    def customizes(self) -> bool:
        """Whether a pool or a detector needs a customized model."""
        return self.drawn > 0 or any(detector.needs_model for detector in self.detectors)

    @property
    def wants_others(self) -> bool:
        """Whether a setup needs the pool of another category."""
        return any(arm.kind == "wrong" for arm in self.arms)

    def role(self, setup: Setup) -> str:
        """ "tuning" if settings were chosen on the category, else "reporting"."""
        chosen_on = self.tuning or (setup.category.dataset, setup.category.name) in TUNING
        return "tuning" if chosen_on else "reporting"

    def deciding(self) -> dict[str, Any]:
        """The settings that later runs in the same folder must share."""
        return (
            {"preset": self.preset.name}
            | self.preset.flat()
            | {"n": self.n, "tests": self.tests, "device": self.device.partition(":")[0], "embedded": EMBEDDED}
            | ({"anomalous among unlabeled": self.held} if self.streams else {})
        )


def _distinct(items: tuple[T, ...]) -> tuple[T, ...]:
    """The items, each once, by the names that their cells have."""
    distinct: dict[object, T] = {}
    for item in items:
        distinct.setdefault(_cell_name(item), item)
    return tuple(distinct.values())


def _cell_name(item: object) -> object:
    if isinstance(item, Category):
        return item.dataset, item.name
    return item.text if isinstance(item, Arm | DetectorSpec) else item


def _fewer(category: Category, count: int) -> Category:
    """The category with at most `count` test images, at least one normal and one anomalous."""
    if len(category.tests) <= count:
        return category
    share = sum(category.labels) / len(category.labels)
    anomalous = min(count - 1, max(1, round(count * share)))
    kept: list[int] = []
    for label, wanted in ((0, count - anomalous), (1, anomalous)):
        indices = [index for index, own in enumerate(category.labels) if own == label]
        order = torch.randperm(len(indices), generator=generator("tests", category.dataset, category.name, label))
        kept += [indices[i] for i in order[:wanted].tolist()]
    return replace(category, tests=tuple(category.tests[index] for index in sorted(kept)))
