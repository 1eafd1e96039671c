"""What is measured: every detector with every bank, on the same shots.

A *setup* is (category, k, seed): its shots, and the model and pool that are made of them once. A *cell* is one detector
with one arm in a setup. All cells of a setup share shots, seed and test images, so their differences are paired.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from normalgen.data.category import Category
from normalgen.errors import DataError
from normalgen.evaluation.arms import Arm
from normalgen.evaluation.detector_specs import DetectorSpec
from normalgen.io.atomic import slug
from normalgen.io.rng import generator
from normalgen.pool.workers import Shard
from normalgen.settings.presets import Preset, change

__all__ = ["TUNING", "CellPlan", "Plan", "Setup"]

TUNING = (("mvtec", "screw"), ("hazelnut_photos", "hazelnut"))
"""(data set, category) that settings of the preset `tiny` were chosen on: MVTec-AD's screw, and photos of hazelnuts."""


@dataclass(frozen=True)
class Setup:
    """A category, how many shots, and the seed that chooses them."""

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
        """What the cell is, as plain data."""
        category = self.setup.category
        which = {"dataset": category.dataset, "category": category.name, "k": self.setup.k, "seed": self.setup.seed}
        return which | {"detector": self.detector.text, "arm": self.arm.text}

    def path(self, out: Path) -> Path:
        """Where its result lies."""
        return out / "cells" / self.setup.name / f"{slug(self.detector.text)}--{slug(self.arm.text)}.json"


@dataclass(frozen=True)
class Plan:
    """A whole evaluation.

    Attributes:
        categories: with test images.
        detectors: what is measured.
        arms: with which banks.
        shots: numbers of references.
        seeds: 0 to seeds - 1.
        n: images that join the references in an arm.
        preset: of customization, pools (without augmented photos, `pool.plain` 0) and twins.
        tests: test images of a category at most, drawn with the share of anomalous ones that it has; 0 takes all.
        tuning: categories count as those that settings were chosen on, besides `TUNING`.
        device: of torch.
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
        # Augmented photos are an arm of their own: a pool that held some would be measured twice.
        object.__setattr__(self, "preset", change(self.preset, pool={"plain": 0.0}))
        for spec in self.detectors:
            spec.sampling_preset(self.preset)
        if self.tests == 1:
            raise DataError(
                "--tests must be 0 for all, or at least 2: a normal and an anomalous image of each category"
            )
        if self.tests:
            object.__setattr__(self, "categories", tuple(_fewer(each, self.tests) for each in self.categories))
        for category in self.categories:
            labels = category.labels
            if not 0 < sum(labels) < len(labels):
                raise DataError(
                    f"{category.name} has {len(labels)} test images, {sum(labels)} of them anomalous; to measure a "
                    "detector normal and anomalous ones are needed"
                )
            if len(category.normals) < max(self.shots):
                raise DataError(
                    f"{category.name} has {len(category.normals)} normal images to choose from, too few for "
                    f"{max(self.shots)} shots; give smaller --shots"
                )
            most = max([arm.size or self.n for arm in self.arms if arm.kind == "real"], default=0)
            if len(category.normals) - max(self.shots) < most:
                raise DataError(
                    f"{category.name} has {len(category.normals) - max(self.shots)} normal images besides its "
                    f"references, the arm real:{most} wants {most}"
                )
        if self.wants_others and len(self.categories) < 2:
            raise DataError("the arm wrong takes the pool of another category; evaluate two categories or more")

    def setups(self, shard: Shard | None = None) -> list[Setup]:
        """All setups, one seed after the other; of a shard, its share."""
        every = [Setup(c, k, seed) for seed in range(self.seeds) for c in self.categories for k in self.shots]
        return every if shard is None else every[shard.number - 1 :: shard.count]

    def cells(self, setup: Setup) -> Iterator[CellPlan]:
        """The cells of a setup; the arm no-twins is for detectors that make twins."""
        for detector in self.detectors:
            for arm in self.arms:
                if arm.kind != "no-twins" or detector.makes_twins:
                    yield CellPlan(setup, detector, arm)

    def other(self, setup: Setup) -> Setup:
        """The same shots and seed of the next category."""
        names = [(category.dataset, category.name) for category in self.categories]
        place = names.index((setup.category.dataset, setup.category.name)) + 1
        return Setup(self.categories[place % len(self.categories)], setup.k, setup.seed)

    @property
    def drawn(self) -> int:
        """How many images a pool must hold."""
        return max([arm.size or self.n for arm in self.arms if arm.generates], default=0)

    @property
    def customizes(self) -> bool:
        """Whether anything asks for a customized model."""
        return self.drawn > 0 or any(detector.needs_model for detector in self.detectors)

    @property
    def wants_others(self) -> bool:
        """Whether a setup needs the pool of another category."""
        return any(arm.kind == "wrong" for arm in self.arms)

    def role(self, setup: Setup) -> str:
        """ "tuning" where settings were chosen on the category, else "reporting"."""
        chosen_on = self.tuning or (setup.category.dataset, setup.category.name) in TUNING
        return "tuning" if chosen_on else "reporting"

    def deciding(self) -> dict[str, Any]:
        """What later runs in the same folder must agree with."""
        return (
            {"preset": self.preset.name}
            | self.preset.flat()
            | {"n": self.n, "tests": self.tests, "device": self.device.partition(":")[0]}
        )


def _fewer(category: Category, count: int) -> Category:
    """The category with at most `count` test images, at least one normal and one anomalous."""
    if len(category.tests) <= count:
        return category
    share = sum(category.labels) / len(category.labels)
    anomalous = min(count - 1, max(1, round(count * share)))
    kept: list[int] = []
    for label, wanted in ((0, count - anomalous), (1, anomalous)):
        places = [place for place, each in enumerate(category.labels) if each == label]
        order = torch.randperm(len(places), generator=generator("tests", category.dataset, category.name, label))
        kept += [places[i] for i in order[:wanted].tolist()]
    return replace(category, tests=tuple(category.tests[place] for place in sorted(kept)))
